"""Decisions in plain words: every gate, what it saw and what it said, in the customer's own time."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.authoring.explain import REASONS, VERDICTS, gate_lines, headline
from services.contracts.decisions import Decision, Reason, Verdict
from services.contracts.ids import Channel, ContentHash, CustomerId, JourneyName, StepId

MOSCOW = ZoneInfo("Europe/Moscow")


def make_decision(verdict: Verdict, reason: Reason, *gates: dict[str, Any], channel: str | None = None) -> Decision:
    """Return a decision in which these gates were asked."""
    return Decision(
        at=datetime(2024, 3, 1, 18, tzinfo=UTC),
        customer=CustomerId("ann"),
        journey=JourneyName("welcome"),
        key="",
        step=StepId("steps/0"),
        ruleset=ContentHash("0" * 64),
        input_id="e1",
        verdict=verdict,
        reason=reason,
        detail={"gates": list(gates)},
        channel=None if channel is None else Channel(channel),
    )


def test_the_headline_names_verdict_reason_and_channel() -> None:
    """Two words for programs, a sentence for people."""
    assert headline(make_decision(Verdict.SENT, Reason.OK, channel="sms")) == "SENT by sms (ok): every gate let it pass"
    assert (
        headline(make_decision(Verdict.SKIPPED, Reason.FREQUENCY_CAP, channel="sms"))
        == "NOT SENT (frequency_cap): the customer has heard from us often enough"
    )


def test_every_verdict_and_reason_has_words() -> None:
    """A new member needs its sentence."""
    assert set(REASONS) == set(Reason)
    assert set(VERDICTS) == set(Verdict)


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        (
            {"gate": "late", "answer": "pass", "late_by_s": 90.0, "max_lateness_s": 86400.0},
            "in time? yes (90s late, up to 1d is allowed)",
        ),
        (
            {"gate": "stage", "answer": "refuse", "reason": "stage", "stage": "lead", "open_to": ["onboarding", "active"]},
            "right stage? no (stands at lead, the journey is for onboarding, active)",
        ),
        (
            {"gate": "consent", "answer": "refuse", "channel": "sms", "needs": "opt_in", "state": "unknown"},
            "sms: agreed? no (opt_in: the customer's consent is unknown)",
        ),
        (
            {"gate": "consent", "answer": "pass", "channel": "email", "needs": "none"},
            "email: agreed? yes (a service e-mail needs no consent)",
        ),
        (
            {
                "gate": "quiet_hours",
                "answer": "defer",
                "reason": "quiet_hours",
                "until": "2024-03-02T06:00:00+00:00",
                "zone": "Europe/Moscow",
                "local": "2024-03-01T21:00+03:00",
            },
            "a good hour? not yet (it is 21:00 in Europe/Moscow, waits until 2024-03-02 09:00)",
        ),
        (
            {
                "gate": "frequency_cap",
                "answer": "refuse",
                "caps": [{"cap": "1 a day", "count": 1, "max": 1}, {"cap": "all", "count": 2, "max": 5}],
            },
            "room under the caps? no (1 a day: 1 of 1 used; all: 2 of 5 used)",
        ),
        (
            {
                "gate": "frequency_cap",
                "answer": "pass",
                "frequency": "less",
                "caps": [{"cap": "all", "count": 1, "max": 2, "usual_max": 5}],
            },
            "room under the caps? yes (all: 1 of 2 used; half of what is usual, as the customer asked for)",
        ),
        (
            {"gate": "gap", "answer": "pass", "least_s": 14400.0, "last_at": "2024-03-01T10:00:00+00:00"},
            "long enough since the last message? yes (the last one left at 2024-03-01 13:00, 4h must pass)",
        ),
        ({"gate": "reentry", "answer": "refuse", "open": True}, "may it be entered (again)? no (the customer is in it already)"),
        (
            {"gate": "reentry", "answer": "refuse", "rule": "never", "entered_at": "2024-03-01T10:00:00+00:00"},
            "may it be entered (again)? no (entered on 2024-03-01 13:00, and once is all)",
        ),
        (
            {"gate": "expired", "answer": "pass", "expires_at": "2024-03-02T10:00:00+00:00"},
            "still worth sending? yes (until 2024-03-02 13:00)",
        ),
        (
            {"gate": "exited", "answer": "refuse", "exit_event": "e7", "exit_type": "order.completed"},
            "nothing that ends the journey? no (order.completed came, event e7)",
        ),
        ({"gate": "historical", "answer": "pass"}, "news, not history? yes"),
        ({"gate": "brand_new", "answer": "pass", "share_of_offers": 0.2, "ok": True}, "brand_new yes (share of offers: 0.2, ok: yes)"),
    ],
)
def test_a_gate_tells_what_it_saw(gate: dict[str, Any], line: str) -> None:
    """Times are the customer's; a gate that the words do not know is shown as it is."""
    assert gate_lines(make_decision(Verdict.SENT, Reason.OK, gate), MOSCOW) == [line]


def test_gates_keep_their_order() -> None:
    """The first refusal is the reason, so the order is part of the answer."""
    gates = ({"gate": "late", "answer": "pass"}, {"gate": "historical", "answer": "pass"}, {"gate": "stage", "answer": "pass"})

    assert gate_lines(make_decision(Verdict.SENT, Reason.OK, *gates), UTC) == ["in time? yes", "news, not history? yes", "right stage? yes"]
