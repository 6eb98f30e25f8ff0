"""Gates before a message: expiry, stage and exit, then for a channel consent, suppression, address, quiet hours, gap."""

from datetime import datetime, time, timedelta

import pytest

from services.contracts.decisions import Reason
from services.contracts.ids import Channel, EnrolmentId, EventId, JourneyName, MessageId
from services.contracts.messages import Kind
from services.rules.core.document import Consent, CustomerDocument, Enrolment, SeenExit, Slot, Suppression
from services.rules.core.gates.consent import consent, suppression
from services.rules.core.gates.gap import gap
from services.rules.core.gates.quiet_hours import quiet_hours
from services.rules.core.gates.reachable import reachable, recipient_of
from services.rules.core.gates.standing import expired, not_exited, stage
from services.rules.core.inputs import TimerInput
from services.rules.core.ruleset import ConsentMode, Policy, QuietHours, SendStep
from services.rules.core.turn import Candidate, Turn
from tests.builders import (
    DAY,
    EMAIL,
    HOUR,
    NOON,
    SMS,
    exit_on,
    make_document,
    make_journey,
    make_lifecycle,
    make_policy,
    make_ruleset,
    send,
)

NOBODY = make_document(subscribed=())


def turn_of(document: CustomerDocument, policy: Policy | None = None, *, assume: bool = False, now: datetime = NOON) -> Turn:
    """Return a decision being taken at `now`."""
    rules = make_ruleset(make_journey(stages=("active",)), policy=policy, assume_contactable=assume, lifecycle=make_lifecycle())
    return Turn(document, TimerInput(now), rules, now)


def candidate_of(turn: Turn, *, kind: Kind = Kind.REGULAR, valid_for: timedelta = DAY) -> Candidate:
    """Return a message of that kind whose step was reached at noon."""
    journey, step = turn.ruleset.by_event["product.added"][0], send(kind=kind)
    assert isinstance(step, SendStep)
    enrolment = Enrolment(EnrolmentId("e"), journey.name, journey.version, NOON, NOON, EventId("t"))
    return Candidate(enrolment, journey, step, (EMAIL,), NOON, NOON + valid_for)


def said(state: str) -> CustomerDocument:
    """Return a customer with an address who stated this about every channel."""
    return make_document(consents={EMAIL: Consent(state, NOON), SMS: Consent(state, NOON)})


def said_of_all(state: str) -> CustomerDocument:
    """Return a customer who said yes to each channel, and this about everything."""
    return make_document(consents={EMAIL: Consent("subscribed", NOON), Channel("all"): Consent(state, NOON)})


@pytest.mark.parametrize(
    ("document", "mode", "kind", "channel", "passes"),
    [
        (said("subscribed"), ConsentMode.OPT_IN, Kind.REGULAR, EMAIL, True),
        (said("unsubscribed"), ConsentMode.OPT_IN, Kind.REGULAR, EMAIL, False),
        (NOBODY, ConsentMode.OPT_IN, Kind.REGULAR, EMAIL, False),
        (NOBODY, ConsentMode.OPT_OUT, Kind.INCENTIVE, EMAIL, True),
        (said("unsubscribed"), ConsentMode.OPT_OUT, Kind.REGULAR, EMAIL, False),
        (NOBODY, ConsentMode.OPT_IN, Kind.SERVICE, EMAIL, True),
        (said("unsubscribed"), ConsentMode.OPT_IN, Kind.SERVICE, EMAIL, False),
        (NOBODY, ConsentMode.OPT_IN, Kind.SERVICE, SMS, False),
        (said("subscribed"), ConsentMode.OPT_IN, Kind.SERVICE, SMS, True),
        (said_of_all("unsubscribed"), ConsentMode.OPT_OUT, Kind.REGULAR, EMAIL, False),
        (said_of_all("subscribed"), ConsentMode.OPT_IN, Kind.REGULAR, EMAIL, True),
    ],
)
def test_consent(document: CustomerDocument, mode: ConsentMode, kind: Kind, channel: Channel, passes: bool) -> None:  # noqa: FBT001
    """Opt-in needs a yes, opt-out no no; a service e-mail needs no yes, and obeys a no."""
    turn = turn_of(document, make_policy(consent={EMAIL: mode, SMS: mode}))
    assert consent(turn, candidate_of(turn, kind=kind), channel).reason == (None if passes else Reason.CONSENT)


def test_a_channel_without_a_policy_needs_a_yes() -> None:
    """What the policy does not name is opt-in; the ledger shows what was needed and what was there."""
    turn = turn_of(NOBODY)
    answer = consent(turn, candidate_of(turn), EMAIL)
    assert (answer.reason, answer.seen) == (Reason.CONSENT, {"needs": "opt_in", "state": "unknown"})


def test_assuming_contactable_a_withdrawal_still_counts() -> None:
    """`--assume-contactable` fills in what is unknown; a no stays a no."""
    unknown, withdrawn = turn_of(NOBODY, assume=True), turn_of(said("unsubscribed"), assume=True)
    assert consent(unknown, candidate_of(unknown), EMAIL).reason is None
    assert consent(withdrawn, candidate_of(withdrawn), EMAIL).reason is Reason.CONSENT


def test_suppression_is_by_address() -> None:
    """The suppressed address is refused; a new one on the same channel is not."""
    suppressed = {EMAIL: Suppression("email-address", "bounced")}
    turn = turn_of(make_document(suppressed=suppressed))
    answer = suppression(turn, candidate_of(turn), EMAIL)
    assert (answer.reason, answer.seen) == (Reason.SUPPRESSED, {"because": "bounced"})
    moved = turn_of(make_document(suppressed=suppressed, addresses={EMAIL: "new@b"}))
    assert suppression(moved, candidate_of(moved), EMAIL).reason is None
    assert suppression(turn, candidate_of(turn), SMS).reason is None


def test_an_address_is_needed() -> None:
    """Without one the customer is unreachable, unless it is assumed."""
    turn, assumed = turn_of(NOBODY), turn_of(NOBODY, assume=True)
    assert reachable(turn, candidate_of(turn), EMAIL).reason is Reason.UNREACHABLE
    assert reachable(assumed, candidate_of(assumed), EMAIL).reason is None
    assert recipient_of(assumed, EMAIL) == "unknown"
    assert recipient_of(turn_of(make_document(), assume=True), EMAIL) == "email-address"


NIGHT = QuietHours(time(21), time(9))
MIDNIGHT = NOON + 12 * HOUR


@pytest.mark.parametrize(
    ("quiet", "kind", "channel", "until"),
    [
        (NIGHT, Kind.REGULAR, EMAIL, MIDNIGHT + 9 * HOUR),
        (QuietHours(time(21), time(9), channels=(SMS,)), Kind.REGULAR, EMAIL, None),
        (QuietHours(time(21), time(9), channels=(SMS,)), Kind.REGULAR, SMS, MIDNIGHT + 9 * HOUR),
        (QuietHours(time(21), time(9), exempt_kinds=(Kind.SERVICE,)), Kind.SERVICE, EMAIL, None),
        (QuietHours(time(21), time(9), exempt_kinds=(Kind.SERVICE,)), Kind.REGULAR, EMAIL, MIDNIGHT + 9 * HOUR),
    ],
)
def test_quiet_hours_defer(quiet: QuietHours, kind: Kind, channel: Channel, until: datetime | None) -> None:
    """At midnight a message waits for nine, unless its channel or kind is not meant."""
    turn = turn_of(make_document(), make_policy(quiet_hours=(quiet,)), now=MIDNIGHT)
    answer = quiet_hours(turn, candidate_of(turn, kind=kind), channel)
    assert (answer.until, answer.reason) == (until, Reason.QUIET_HOURS if until else None)


def test_what_expires_before_the_morning_is_skipped() -> None:
    """Quiet hours that outlast the message refuse it as expired."""
    turn = turn_of(make_document(), make_policy(quiet_hours=(NIGHT,)), now=MIDNIGHT)
    answer = quiet_hours(turn, candidate_of(turn, valid_for=20 * HOUR), EMAIL)
    assert (answer.reason, answer.until) == (Reason.EXPIRED, None)


def test_quiet_hours_are_the_customers() -> None:
    """Noon in UTC is 21:00 in Tokyo; the ledger shows zone and local time."""
    turn = turn_of(make_document(timezone="Asia/Tokyo"), make_policy(quiet_hours=(NIGHT,)))
    answer = quiet_hours(turn, candidate_of(turn), EMAIL)
    assert answer.seen == {"zone": "Asia/Tokyo", "local": "2024-05-13T21:00+09:00"}
    assert answer.until == NOON + 12 * HOUR


def handed_over(at: datetime, until: datetime | None = None) -> CustomerDocument:
    """Return a customer to whom one message went."""
    return make_document(slots={MessageId("m"): Slot(at, until or at, JourneyName("j"), SMS, Kind.SERVICE)})


@pytest.mark.parametrize(
    ("document", "until"),
    [
        (make_document(), None),
        (handed_over(NOON - 4 * HOUR), None),
        (handed_over(NOON - 3 * HOUR), NOON + HOUR),
        (handed_over(NOON), NOON + 4 * HOUR),
        (handed_over(NOON - HOUR, NOON + DAY), NOON + 4 * HOUR),
        (handed_over(NOON - 3 * HOUR, NOON - 2 * HOUR), NOON + 2 * HOUR),
    ],
)
def test_the_gap_defers(document: CustomerDocument, until: datetime | None) -> None:
    """The gap counts from the last hand-over, whatever it was; a message still on its way may go out this moment."""
    turn = turn_of(document, make_policy(min_gap=4 * HOUR))
    answer = gap(turn, candidate_of(turn), EMAIL)
    assert (answer.until, answer.reason) == (until, Reason.GAP if until else None)


def test_a_gap_longer_than_the_message_lives_skips() -> None:
    """Nothing is deferred beyond its expiry."""
    turn = turn_of(handed_over(NOON - HOUR), make_policy(min_gap=4 * HOUR))
    answer = gap(turn, candidate_of(turn, valid_for=3 * HOUR), EMAIL)
    assert (answer.reason, answer.until) == (Reason.GAP, None)


@pytest.mark.parametrize(("valid_for", "reason"), [(timedelta(0), Reason.EXPIRED), (timedelta(seconds=1), None)])
def test_expiry(valid_for: timedelta, reason: Reason | None) -> None:
    """A message must have some time left."""
    turn = turn_of(make_document())
    assert expired(turn, candidate_of(turn, valid_for=valid_for)).reason == reason


def test_stages_are_asked_again_before_a_message() -> None:
    """Who has left the journey's stages is not written to."""
    inside, outside = turn_of(make_document(stage="active")), turn_of(make_document(stage="dormant"))
    assert stage(inside, candidate_of(inside)).reason is None
    answer = stage(outside, candidate_of(outside))
    assert (answer.reason, answer.seen) == (Reason.STAGE, {"stage": "dormant", "open_to": ["active"]})


@pytest.mark.parametrize(("seen_at", "reason"), [(NOON - HOUR, None), (NOON, None), (NOON + HOUR, Reason.EXITED)])
def test_an_exit_seen_since_the_trigger_stops_a_message(seen_at: datetime, reason: Reason | None) -> None:
    """Only an exit that happened after the trigger does; the ledger shows when it happened."""
    rules = make_ruleset(make_journey(exit_on=(exit_on(),)))
    turn = Turn(make_document(exits={JourneyName("cart"): (SeenExit(seen_at, 0),)}), TimerInput(NOON + DAY), rules, NOON + DAY)
    answer = not_exited(turn, candidate_of(turn))
    assert (answer.reason, answer.seen) == (reason, {"exit_at": seen_at.isoformat()} if reason else {})
