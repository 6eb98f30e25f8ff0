"""What opens an enrolment, and what keeps it shut."""

from datetime import datetime, timedelta

import pytest

from services.contracts.decisions import Verdict
from tests.builders import (
    DAY,
    HOUR,
    NOON,
    exit_on,
    make_document,
    make_event,
    make_journey,
    make_lifecycle,
    make_ruleset,
    on,
    reentry,
    send,
    wait,
)
from tests.story import Story

SECOND = timedelta(seconds=1)


def test_an_event_that_matches_enrols_and_sends() -> None:
    """The shortest journey: one event, one message, one row of the ledger."""
    story = Story(make_ruleset(make_journey("cart", trigger=on("product.added", "event.total >= 500"))))
    story.tell(data={"total": 500})
    assert story.enrolled == ["cart"]
    (decision,) = story.decisions
    assert (decision.verdict, decision.reason, decision.step, decision.channel) == (Verdict.SENT, "ok", "steps/0", "email")
    assert decision.message_id == story.messages[0].message_id
    assert [gate["gate"] for gate in decision.detail["gates"]] == [
        "expired",
        "stage",
        "exited",
        "consent",
        "suppressed",
        "reachable",
        "quiet_hours",
        "frequency_cap",
        "gap",
    ]


@pytest.mark.parametrize("data", [{"total": 499}, {"total": None}, {"total": "500"}, {}])
def test_an_event_that_does_not_match_leaves_no_trace_in_the_ledger(data: dict[str, object]) -> None:
    """`where` is part of the trigger: what it rules out was no reason to write."""
    story = Story(make_ruleset(make_journey("cart", trigger=on("product.added", "event.total >= 500"))))
    story.tell(data=data)
    story.tell("page.viewed", {"total": 900})
    assert (story.enrolled, story.decisions) == ([], [])


def test_keys_tell_enrolments_apart() -> None:
    """One enrolment for each cart; without a key, one per customer."""
    keyed = Story(make_ruleset(make_journey("cart", wait(), key="event.cart")))
    single = Story(make_ruleset(make_journey("cart", wait())))
    for number, cart in enumerate(["a", "b", "a"]):
        for story in (keyed, single):
            story.tell(data={"cart": cart}, at=NOON + number * SECOND)
    assert keyed.enrolled == ["cart", "cart"]
    assert [(decision.key, decision.reason) for decision in keyed.decisions] == [("a", "reentry")]
    assert single.enrolled == ["cart"]


@pytest.mark.parametrize(
    ("value", "key"),
    [("a", "a"), (5, "5"), (5.0, "5"), (5.5, "5.5"), (True, "true"), (["b", 1], '["b",1]'), ({"z": 1, "a": 2}, '{"a":2,"z":1}')],
)
def test_keys_have_one_form(value: object, key: str) -> None:
    """Any value can be a key; equal values are the same key."""
    story = Story(make_ruleset(make_journey("cart", key="event.cart")))
    story.tell(data={"cart": value})
    assert story.decisions[0].key == key


def test_a_long_key_is_named_by_its_digest() -> None:
    """A key takes no more room than 255 characters."""
    story = Story(make_ruleset(make_journey("cart", key="event.cart")))
    story.tell(data={"cart": "x" * 256})
    assert story.decisions[0].key.startswith("sha256:")
    assert len(story.decisions[0].key) == 71


def test_a_missing_key_is_a_reason() -> None:
    """Without its key an event can't enrol, and the ledger shows the expression that found nothing."""
    story = Story(make_ruleset(make_journey("cart", key="event.cart")))
    story.tell(data={})
    (decision,) = story.decisions
    assert (decision.reason, decision.step, decision.key) == ("condition", "", "")
    assert decision.detail["gates"][-1] == {
        "gate": "key",
        "answer": "refuse",
        "reason": "condition",
        "expression": "event.cart",
        "key": None,
    }


@pytest.mark.parametrize(("late_by", "reason"), [(DAY, "ok"), (DAY + SECOND, "late")])
def test_late_events_trigger_nothing(late_by: timedelta, reason: str) -> None:
    """An event that took longer than `max_lateness` to arrive updates the customer, and is refused as `late`."""
    story = Story(make_ruleset())
    story.tell(at=NOON - late_by, received_at=NOON)
    assert story.reasons == [reason]
    assert story.document.last_activity_at == NOON - late_by


def test_deciding_late_is_not_arriving_late() -> None:
    """A worker that lags by three hours decides as a live one: lateness is between happening and arriving."""
    story = Story(make_ruleset(make_journey("cart", wait(), send("steps/1"), max_lateness=HOUR)))
    story.tell(now=NOON + 3 * HOUR)
    story.wait_until(NOON + DAY)
    assert story.enrolled == ["cart"]
    assert story.sent_at == [NOON + HOUR]


def test_historical_events_trigger_nothing() -> None:
    """An imported past is known, and not answered."""
    story = Story(make_ruleset(make_journey(), make_journey("other", trigger=on("order.completed"))))
    story.tell(historical=True)
    assert [(decision.journey, decision.reason) for decision in story.decisions] == [("cart", "historical")]
    assert story.document.last_seen == {"product.added": NOON}


def test_a_future_time_is_the_time_of_arrival() -> None:
    """A source whose clock is ahead can't move activity into the future."""
    story = Story(make_ruleset())
    story.tell(at=NOON + 9 * DAY, received_at=NOON)
    assert story.document.last_activity_at == NOON


@pytest.mark.parametrize(("stage", "reason"), [("active", "ok"), ("onboarding", "ok"), ("lead", "stage"), ("dormant", "stage")])
def test_stages_open_a_journey(stage: str, reason: str) -> None:
    """A customer in another stage is refused, with what was seen."""
    story = Story(make_ruleset(make_journey(stages=("onboarding", "active")), lifecycle=make_lifecycle()), make_document(stage=stage))
    story.tell()
    assert story.reasons == [reason]


def test_without_a_lifecycle_stages_are_no_gate() -> None:
    """A rule set without `lifecycle.yaml` has no stages to ask for."""
    story = Story(make_ruleset(make_journey(stages=("active",))))
    story.tell()
    assert story.reasons == ["ok"]


def test_the_stage_moves_before_triggers_are_looked_at() -> None:
    """A first order makes the customer active, so a journey for active customers answers that order."""
    thanks = make_journey("thanks", trigger=on("order.completed"), stages=("active",))
    story = Story(make_ruleset(thanks, lifecycle=make_lifecycle()), make_document(stage="onboarding"))
    story.tell("order.completed")
    assert (story.document.stage, story.document.stage_since, story.reasons) == ("active", NOON, ["ok"])


NEVER, ALWAYS = reentry("never"), reentry("always")


@pytest.mark.parametrize(
    ("rule", "second_at", "reason"),
    [
        (NEVER, NOON + 999 * DAY, "reentry"),
        (ALWAYS, NOON + 2 * HOUR, "ok"),
        (reentry("after", DAY, "entry"), NOON + DAY - SECOND, "reentry"),
        (reentry("after", DAY, "entry"), NOON + DAY, "ok"),
        (reentry("after", DAY, "exit"), NOON + DAY + HOUR - SECOND, "reentry"),
        (reentry("after", DAY, "exit"), NOON + DAY + HOUR, "ok"),
        (reentry("after", DAY, "send"), NOON + DAY + HOUR - SECOND, "reentry"),
        (reentry("after", DAY, "send"), NOON + DAY + HOUR, "ok"),
    ],
)
def test_reentry(rule: object, second_at: datetime, reason: str) -> None:
    """Enrolled at noon, sent and ended at one: when may the same key come again?"""
    story = Story(make_ruleset(make_journey("cart", wait(), send("steps/1"), reentry=rule)))
    story.tell()
    story.tell(at=second_at)
    story.wait_until(second_at + HOUR)
    assert story.reasons == ["ok", reason]


def test_an_open_enrolment_never_gets_a_twin() -> None:
    """Whatever the rule says, the same key is enrolled once at a time."""
    story = Story(make_ruleset(make_journey("cart", wait(DAY), send("steps/1"), reentry=ALWAYS)))
    story.tell()
    story.tell(at=NOON + HOUR)
    assert story.reasons == ["reentry"]
    assert story.decisions[0].detail["gates"][-1] == {"gate": "reentry", "answer": "refuse", "reason": "reentry", "open": True}


def test_never_remembers_the_newest_thousand_keys() -> None:
    """Memory is bounded: the oldest key is forgotten first."""
    story = Story(make_ruleset(make_journey("cart", send(), key="event.cart", reentry=NEVER)))
    for number in range(1_001):
        story.tell(data={"cart": str(number)}, at=NOON + number * SECOND)
    assert len(story.document.entries["cart"]) == 1_000  # type: ignore[index]
    story.decisions.clear()
    story.tell(data={"cart": "1"}, at=NOON + HOUR, id="again 1")
    story.tell(data={"cart": "0"}, at=NOON + HOUR, id="again 0")
    assert story.reasons == ["reentry", "ok", "loop_limit"]  # the last: one more message on its way than is kept


def test_open_enrolments_are_bounded() -> None:
    """A customer with 200 open enrolments gets no more, and the ledger says so."""
    story = Story(make_ruleset(make_journey("cart", wait(DAY), key="event.cart")))
    for number in range(201):
        story.tell(data={"cart": number}, at=NOON + number * SECOND)
    assert (len(story.enrolled), story.reasons) == (200, ["loop_limit"])


def test_rules_may_trigger_on_outcomes() -> None:
    """An outcome is an event like any other."""
    story = Story(make_ruleset(make_journey("clicked", trigger=on("message.clicked", "event.journey == 'cart'"))))
    story.tell("message.clicked", {"journey": "cart"})
    assert story.enrolled == ["clicked"]


def test_an_exit_that_is_seen_first_keeps_the_journey_shut() -> None:
    """The order happened after the cart was filled but arrived before it: there is nothing to remind of."""
    story = Story(make_ruleset(make_journey("cart", wait(), exit_on=(exit_on(),))))
    story.tell("order.completed", at=NOON)
    story.tell_event(make_event(at=NOON - SECOND, received_at=NOON + SECOND))
    story.tell_event(make_event(id="same time", at=NOON, received_at=NOON + SECOND))
    assert [(decision.reason, decision.verdict) for decision in story.decisions] == [("exited", Verdict.SKIPPED)]
    assert story.enrolled == ["cart"]


def test_an_exit_that_asks_for_the_trigger_is_compared_with_each() -> None:
    """Only the order of the same cart shuts the journey for that cart."""
    rule = exit_on("order.completed", "event.cart == trigger.cart")
    story = Story(make_ruleset(make_journey("cart", wait(), key="event.cart", exit_on=(rule,))))
    story.tell("order.completed", {"cart": "a"})
    for cart in ("a", "b"):
        story.tell_event(make_event(data={"cart": cart}, id=cart, at=NOON - SECOND, received_at=NOON + SECOND))
    assert [(decision.key, decision.reason) for decision in story.decisions] == [("a", "exited")]
    assert story.enrolled == ["cart"]
