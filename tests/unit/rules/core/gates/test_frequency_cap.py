"""Frequency caps: which slots count, in which windows."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.contracts.decisions import Reason
from services.contracts.ids import Channel, EnrolmentId, EventId, JourneyName, MessageId
from services.contracts.messages import Kind
from services.rules.core.document import CustomerDocument, Enrolment, Slot
from services.rules.core.gates.answer import Answer
from services.rules.core.gates.frequency_cap import frequency_cap
from services.rules.core.inputs import TimerInput
from services.rules.core.ruleset import Cap, SendStep
from services.rules.core.turn import Candidate, Turn
from tests.builders import DAY, EMAIL, HOUR, NOON, cap, make_document, make_journey, make_lifecycle, make_policy, make_ruleset, send

SECOND = timedelta(seconds=1)


def slot(
    at: datetime, until: datetime | None = None, *, channel: str = "email", kind: Kind = Kind.REGULAR, tags: tuple[str, ...] = ()
) -> Slot:
    """Return the slot of a message handed over at `at`, or still on its way until `until`."""
    return Slot(at, until or at, JourneyName("other"), Channel(channel), kind, tags)


def customer(*slots: Slot, **fields: Any) -> CustomerDocument:
    """Return a customer who has these slots."""
    return make_document(slots={MessageId(str(number)): each for number, each in enumerate(slots)}, **fields)


def ask(document: CustomerDocument, *caps: Cap, step: SendStep | None = None, valid_for: timedelta = DAY) -> Answer:
    """Ask the gate at noon about an e-mail of the journey `cart`."""
    journey = make_journey("cart", step or send())
    rules = make_ruleset(journey, policy=make_policy(caps=caps, default_timezone="Europe/Moscow"), lifecycle=make_lifecycle())
    turn = Turn(document, TimerInput(NOON), rules, NOON)
    enrolment = Enrolment(EnrolmentId("e"), journey.name, journey.version, NOON, NOON, EventId("t"))
    assert isinstance(journey.steps[0], SendStep)
    candidate = Candidate(enrolment, journey, journey.steps[0], (EMAIL,), NOON, NOON + valid_for)
    return frequency_cap(turn, candidate, EMAIL)


@pytest.mark.parametrize(
    ("sent_ago", "refused"),
    [(timedelta(0), True), (7 * DAY - SECOND, True), (7 * DAY, False), (8 * DAY, False)],
)
def test_a_rolling_cap_counts_back_from_now(sent_ago: timedelta, refused: bool) -> None:  # noqa: FBT001 - a table's column
    """A message exactly `per` ago has left the window."""
    answer = ask(customer(slot(NOON - sent_ago)), cap(1, 7 * DAY))
    assert answer.reason == (Reason.FREQUENCY_CAP if refused else None)


def test_a_pending_message_counts_as_if_it_went_at_its_last_moment() -> None:
    """A message decided ten days ago that may have gone out yesterday counts in the last week."""
    assert ask(customer(slot(NOON - 10 * DAY, NOON - DAY)), cap(1, 7 * DAY)).reason is Reason.FREQUENCY_CAP
    assert ask(customer(slot(NOON - 10 * DAY, NOON - 7 * DAY)), cap(1, 7 * DAY)).reason is None


def test_max_is_how_many_may_go() -> None:
    """With two of three slots taken the third message passes, the fourth does not; the ledger shows count and max."""
    slots = [slot(NOON - HOUR), slot(NOON - 2 * HOUR), slot(NOON - 3 * HOUR)]
    allowed = ask(customer(*slots[:2]), cap(3, DAY))
    assert allowed.reason is None
    assert allowed.seen["caps"] == [{"cap": "3 per 1 day, 0:00:00", "count": 2, "max": 3}]
    assert ask(customer(*slots), cap(3, DAY)).reason is Reason.FREQUENCY_CAP


MIDNIGHT = NOON - 15 * HOUR
"""Local midnight in Moscow (21:00 UTC of the day before)."""


@pytest.mark.parametrize(("sent_at", "refused"), [(MIDNIGHT - SECOND, False), (MIDNIGHT, True), (NOON, True), (NOON - 24 * HOUR, False)])
def test_a_calendar_day_begins_at_local_midnight(sent_at: datetime, refused: bool) -> None:  # noqa: FBT001 - a table's column
    """Yesterday's message does not count today, however recent it is."""
    answer = ask(customer(slot(sent_at)), cap(1, DAY, "calendar"))
    assert answer.reason == (Reason.FREQUENCY_CAP if refused else None)


def test_the_customers_own_zone_makes_the_day() -> None:
    """21:30 UTC of Sunday is Monday in Moscow, and still Sunday in London."""
    late = slot(MIDNIGHT + HOUR / 2)
    assert ask(customer(late), cap(1, DAY, "calendar")).reason is Reason.FREQUENCY_CAP
    assert ask(customer(late, timezone="Europe/London"), cap(1, DAY, "calendar")).reason is None


def test_a_pending_message_counts_in_every_day_that_could_hold_it() -> None:
    """Decided yesterday and not reported yet: it may go out today, so today's only slot is taken."""
    assert ask(customer(slot(MIDNIGHT - HOUR, MIDNIGHT + HOUR)), cap(1, DAY, "calendar")).reason is Reason.FREQUENCY_CAP
    assert ask(customer(slot(MIDNIGHT - 3 * HOUR, MIDNIGHT - HOUR)), cap(1, DAY, "calendar")).reason is None


def test_tomorrow_is_looked_at_where_the_message_may_go_out_tomorrow() -> None:
    """Tomorrow is full with what may still be handed over then; a message that ends today does not mind."""
    tomorrow = slot(NOON + 10 * HOUR, NOON + 12 * HOUR)
    assert ask(customer(tomorrow), cap(1, DAY, "calendar"), valid_for=DAY).reason is Reason.FREQUENCY_CAP
    assert ask(customer(tomorrow), cap(1, DAY, "calendar"), valid_for=HOUR).reason is None


@pytest.mark.parametrize(
    ("unit", "sent_at", "refused"),
    [
        ("week", MIDNIGHT, True),
        ("week", MIDNIGHT - SECOND, False),
        ("month", MIDNIGHT - 12 * DAY, True),
        ("month", MIDNIGHT - 12 * DAY - SECOND, False),
    ],
)
def test_calendar_weeks_and_months(unit: str, sent_at: datetime, refused: bool) -> None:  # noqa: FBT001 - a table's column
    """NOON is Monday, 13 May: the week has just begun, the month on the first."""
    answer = ask(customer(slot(sent_at)), cap(1, 7 * DAY, "calendar", unit="week" if unit == "week" else "month"))
    assert answer.reason == (Reason.FREQUENCY_CAP if refused else None)


OFFER = send(kind=Kind.INCENTIVE, tags=("cart", "offer"))


@pytest.mark.parametrize(
    ("limit", "counted", "refused"),
    [
        (cap(1, DAY, of="all"), slot(NOON, channel="sms"), True),
        (cap(1, DAY, of="channel", name="email"), slot(NOON), True),
        (cap(1, DAY, of="channel", name="email"), slot(NOON, channel="sms"), False),
        (cap(1, DAY, of="channel", name="sms"), slot(NOON, channel="sms"), False),
        (cap(1, DAY, of="kind", name="incentive"), slot(NOON, kind=Kind.INCENTIVE), True),
        (cap(1, DAY, of="kind", name="incentive"), slot(NOON), False),
        (cap(1, DAY, of="kind", name="regular"), slot(NOON), False),
        (cap(1, DAY, of="tag", name="offer"), slot(NOON, tags=("x", "offer")), True),
        (cap(1, DAY, of="tag", name="offer"), slot(NOON), False),
        (cap(1, DAY, of="tag", name="x"), slot(NOON, tags=("x",)), False),
        (cap(1, DAY, of="journey", name="cart"), slot(NOON), False),
        (cap(1, DAY, of="journey", name="other"), slot(NOON), False),
    ],
)
def test_scopes(limit: Cap, counted: Slot, refused: bool) -> None:  # noqa: FBT001 - a table's column
    """A cap counts messages of its scope, and stands only before messages of its scope (here: an offer by e-mail in `cart`)."""
    assert ask(customer(counted), limit, step=OFFER).reason == (Reason.FREQUENCY_CAP if refused else None)


def test_a_cap_for_stages_holds_for_customers_in_them() -> None:
    """The stage at the moment of the decision says whether the cap holds."""
    limit = cap(1, DAY, stages=("active",))
    assert ask(customer(slot(NOON), stage="active"), limit).reason is Reason.FREQUENCY_CAP
    assert ask(customer(slot(NOON), stage="onboarding"), limit).reason is None


def test_caps_stack() -> None:
    """Every cap must have room; the answer names them all."""
    answer = ask(customer(slot(NOON - 2 * DAY)), cap(5, 30 * DAY), cap(1, 7 * DAY), cap(1, DAY))
    assert answer.reason is Reason.FREQUENCY_CAP
    assert [(seen["count"], seen["max"]) for seen in answer.seen["caps"]] == [(1, 5), (1, 1), (0, 1)]


def test_without_caps_everything_passes() -> None:
    """No caps, nothing to see."""
    assert ask(customer(slot(NOON))) == Answer("frequency_cap")
