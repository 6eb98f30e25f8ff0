"""The way through a journey: waits, branches, several messages, versions, limits."""

from datetime import time, timedelta

import pytest

from services.contracts.decisions import Verdict
from services.contracts.ids import StepId, enrolment_id, message_id
from services.rules.core.decide import decide
from services.rules.core.expressions import compile_expression
from services.rules.core.flow import MAX_ENDED
from services.rules.core.indexing import flatten
from services.rules.core.inputs import TimerInput
from services.rules.core.ruleset import ExitStep, IfStep, QuietHours, Step
from tests.builders import CUSTOMER, DAY, HOUR, NOON, cap, given, make_document, make_journey, make_policy, make_ruleset, on, send, wait
from tests.story import Story

SECOND = timedelta(seconds=1)


def branch(condition: str, then: tuple[Step, ...], otherwise: tuple[Step, ...] = (), step: str = "steps/1") -> IfStep:
    """Return an `if` step."""
    return IfStep(StepId(step), compile_expression(condition), then, otherwise)


def test_waits_count_from_when_the_step_was_due() -> None:
    """A timer that fires three hours late does not push the next wait back."""
    story = Story(make_ruleset(make_journey("cart", wait(), send("steps/1"), wait(DAY, "steps/2"), send("steps/3"))))
    story.tell()
    story.give(TimerInput(NOON + HOUR), NOON + 4 * HOUR)
    story.wait_until(NOON + 2 * DAY)
    assert story.sent_at == [NOON + 4 * HOUR, NOON + HOUR + DAY]


def test_a_wait_of_nothing_is_passed_at_once() -> None:
    """Zero is no timer: it would fire at the very moment that set it."""
    story = Story(make_ruleset(make_journey("cart", wait(timedelta(0)), send("steps/1"))))
    story.tell()
    assert story.sent_at == [NOON]


BRANCHED = make_journey(
    "cart",
    wait(),
    branch(
        "trigger.total > 100 and customer.vip", (send("steps/1/then/0", template="offer"),), (send("steps/1/else/0", template="plain"),)
    ),
    send("steps/2", template="after"),
)


@pytest.mark.parametrize(("total", "expected"), [(200, ["offer", "after"]), (50, ["plain", "after"])])
def test_a_branch_is_taken_when_it_is_reached(total: int, expected: list[str]) -> None:
    """The condition sees the customer as they are now and the trigger as it was; both branches go on with what follows."""
    story = Story(make_ruleset(BRANCHED))
    story.tell(data={"total": total})
    story.tell("customer.identified", {"traits": {"vip": True}}, at=NOON + HOUR / 2)
    story.wait_until(NOON + HOUR)
    assert [message.template for message in story.messages] == expected


def test_after_a_wait_event_means_the_enrolling_event() -> None:
    """An `if` behind a wait still sees what the journey began with."""
    journey = make_journey(
        "cart", wait(), branch("event.total == 7 and event.type == 'product.added' and event.source == 'shop'", (send("x"),))
    )
    story = Story(make_ruleset(journey))
    story.tell(data={"total": 7})
    story.wait_until(NOON + HOUR)
    assert len(story.messages) == 1


def test_an_exit_step_leaves() -> None:
    """What stands behind it in the outer flow is not reached."""
    story = Story(make_ruleset(make_journey("cart", wait(), branch("True", (ExitStep(StepId("steps/1/then/0")),)), send("steps/2"))))
    story.tell()
    story.wait_until(NOON + HOUR)
    assert (story.exited, story.messages, story.document.enrolments) == (["cart"], [], {})


def test_ids_are_derived_from_what_was_decided() -> None:
    """The same decision taken again names the same message: an UUIDv5 of enrolment, step, visit and channel."""
    document = make_document()
    event = given(data={"cart": "a"}, id="e-1")
    rules = make_ruleset(make_journey("cart", key="event.cart"))
    first, second = Story(rules, document), Story(rules, document)
    for story in (first, second):
        story.give(event, NOON)
    message = first.messages[0]
    assert message == second.messages[0]
    assert message.enrolment == enrolment_id(message.journey, CUSTOMER, "a", "shop\x1fe-1")  # type: ignore[arg-type]
    assert message.message_id == message_id(message.enrolment, message.step, 0, message.channel)


def test_a_message_carries_what_dispatch_needs() -> None:
    """Recipient, language, windows, context and expiry are frozen at the decision."""
    policy = make_policy(quiet_hours=(QuietHours(time(21), time(9)),), default_language="ru")
    journey = make_journey("cart", wait(), send("steps/1", tags=("cart",), valid_for=DAY), priority=7)
    story = Story(make_ruleset(journey, policy=policy, templates={"cart-reminder": "t-1"}), make_document(traits={"name": "Анна"}))
    story.tell(data={"total": 5})
    story.wait_until(NOON + HOUR)
    (message,) = story.messages
    assert message.recipient == "email-address"
    assert (message.language, message.template_version, message.priority, message.tags) == ("ru", "t-1", 7, ("cart",))
    assert (message.decided_at, message.not_before, message.expires_at) == (NOON + HOUR, NOON + HOUR, NOON + HOUR + DAY)
    assert [(window.starts_at, window.ends_at) for window in message.windows] == [
        (NOON + HOUR, NOON + 9 * HOUR),
        (NOON + 21 * HOUR, NOON + 25 * HOUR),
    ]
    assert message.context == {
        "customer": {"name": "Анна", "id": "c-1"},
        "event": {"total": 5},
        "trigger": {"total": 5},
        "journey": {"name": "cart", "why": "a test"},
    }


def test_big_values_are_left_out_of_the_context() -> None:
    """What is over 16 KB does not travel; its name does."""
    story = Story(make_ruleset())
    story.tell(data={"small": 1, "big": "x" * 20_000})
    assert story.messages[0].context["event"] == {"small": 1, "left_out": ["big"]}


def test_the_flow_goes_on_after_a_message_that_was_not_sent() -> None:
    """A refused message is skipped; the next one is asked about on its own."""
    story = Story(
        make_ruleset(make_journey("cart", send("steps/0", channels=("sms",)), send("steps/1"))), make_document(subscribed=("email",))
    )
    story.tell()
    assert [(decision.step, decision.reason) for decision in story.decisions] == [("steps/0", "consent"), ("steps/1", "ok")]


def test_the_first_channel_that_is_reachable_and_allowed() -> None:
    """Telegram has no address, so e-mail goes; the ledger shows both."""
    story = Story(make_ruleset(make_journey("cart", send(channels=("telegram", "email", "sms")))))
    story.tell()
    assert story.messages[0].channel == "email"
    assert [gate.get("channel") for gate in story.decisions[0].detail["gates"][3:5]] == ["telegram", "email"]


def test_with_no_channel_left_the_first_ones_refusal_is_the_reason() -> None:
    """Two channels, two refusals: the ledger's reason is that of the channel that was wanted most."""
    story = Story(make_ruleset(make_journey("cart", send(channels=("sms", "telegram")))), make_document(addresses={}))
    story.tell()
    assert (story.reasons, story.decisions[0].channel) == (["unreachable"], None)


def test_a_deferred_message_is_asked_about_again() -> None:
    """In the morning all gates are asked again: consent was withdrawn in the night."""
    story = Story(
        make_ruleset(make_journey("cart", send(), send("steps/1")), policy=make_policy(quiet_hours=(QuietHours(time(12), time(20)),)))
    )
    story.tell()
    assert (story.decisions[0].verdict, story.decisions[0].reason) == (Verdict.DEFERRED, "quiet_hours")
    story.tell("consent.withdrawn", {"channel": "email"}, at=NOON + HOUR)
    story.wait_until(NOON + DAY)
    assert story.reasons == ["quiet_hours", "consent", "consent"]
    assert story.decisions[1].at == NOON + 8 * HOUR


def test_a_released_message_keeps_its_expiry() -> None:
    """`valid_for` counts from when the step was reached, not from the release; the next step waits from the release."""
    policy = make_policy(quiet_hours=(QuietHours(time(12), time(20)),))
    story = Story(make_ruleset(make_journey("cart", send(valid_for=9 * HOUR), wait(HOUR, "steps/1"), send("steps/2")), policy=policy))
    story.tell()
    story.wait_until(NOON + DAY)
    assert story.sent_at == [NOON + 8 * HOUR, NOON + 9 * HOUR]
    assert story.messages[0].expires_at == NOON + 9 * HOUR


def test_what_was_reached_too_long_ago_expires() -> None:
    """After an outage of two days nobody gets yesterday's reminder."""
    story = Story(make_ruleset(make_journey("cart", wait(), send("steps/1", valid_for=DAY))))
    story.tell()
    story.give(TimerInput(NOON + HOUR), NOON + HOUR + DAY)
    assert story.reasons == ["expired"]


def test_candidates_of_one_input_go_by_priority() -> None:
    """Priority first, then the journey's name: with one slot left the more important message gets it."""
    journeys = [make_journey(name, priority=priority) for name, priority in (("a", 1), ("b", 9), ("c", 9))]
    story = Story(make_ruleset(*journeys, policy=make_policy(caps=(cap(1, DAY),))))
    story.tell()
    assert [(decision.journey, decision.reason) for decision in story.decisions] == [
        ("b", "ok"),
        ("c", "frequency_cap"),
        ("a", "frequency_cap"),
    ]


def test_timers_due_at_one_instant_compete() -> None:
    """They fire as one input, so the earlier trigger wins among equals."""
    late = make_journey("late", wait(HOUR), send("steps/1"), trigger=on("page.viewed"))
    early = make_journey("zeal", wait(2 * HOUR), send("steps/1"))
    story = Story(make_ruleset(late, early, policy=make_policy(caps=(cap(1, DAY),))))
    story.tell()
    story.tell("page.viewed", at=NOON + HOUR)
    story.wait_until(NOON + DAY)
    assert [(decision.journey, decision.reason) for decision in story.decisions] == [("zeal", "ok"), ("late", "frequency_cap")]


def test_the_gap_spreads_messages() -> None:
    """Three journeys of one event go out four hours apart, each asked again when its time comes."""
    story = Story(make_ruleset(*(make_journey(name) for name in "abc"), policy=make_policy(min_gap=4 * HOUR)))
    story.tell()
    for _ in range(3):
        story.report(story.messages[-1], "message.sent", story.messages[-1].decided_at)
        story.wait_until(story.messages[-1].decided_at + 4 * HOUR)
    assert story.sent_at == [NOON, NOON + 4 * HOUR, NOON + 8 * HOUR]
    assert story.reasons == ["ok", "gap", "gap", "ok", "gap", "ok"]


def test_enrolments_finish_on_their_version() -> None:
    """The old steps go on after the journey was changed; a version that nobody has kept ends the enrolment with a reason."""
    old = make_journey("cart", wait(), send("steps/1", template="old"))
    new = make_journey("cart", wait(), send("steps/1", template="new"), version="cart-2")
    for earlier, reasons, templates in (((old,), ["ok"], ["old"]), ((), ["version"], [])):
        story = Story(make_ruleset(old))
        story.tell()
        story.ruleset = make_ruleset(new, earlier=earlier)
        story.wait_until(NOON + HOUR)
        assert (story.reasons, [message.template for message in story.messages]) == (reasons, templates)
        assert story.exited == ([] if earlier else ["cart"])


def test_a_hundred_steps_in_one_go_are_the_limit() -> None:
    """A journey that does not stop is stopped, with a reason."""
    steps = [branch("True", (), step=f"steps/{number}") for number in range(101)]
    story = Story(make_ruleset(make_journey("cart", *steps)))
    story.tell()
    assert (story.reasons, story.exited, story.document.enrolments) == (["loop_limit"], ["cart"], {})


def test_fifty_messages_in_one_go_are_the_limit() -> None:
    """The 51st `send` without a wait ends the enrolment."""
    story = Story(make_ruleset(make_journey("cart", *(send(f"steps/{number}") for number in range(60)))))
    story.tell()
    assert (len(story.messages), story.reasons[-1], story.exited) == (50, "loop_limit", ["cart"])


def test_step_ids_must_be_unique() -> None:
    """A rule set in which two steps have one id can't be built."""
    with pytest.raises(ValueError, match="'steps/0' is empty or used twice"):
        flatten(make_journey("cart", send(), send()))


def test_journey_names_must_be_unique() -> None:
    """Nor one in which two journeys have one name."""
    with pytest.raises(ValueError, match="two journeys are called 'cart'"):
        make_ruleset(make_journey("cart"), make_journey("cart"))


def test_a_timer_that_finds_nothing_due_is_an_input_all_the_same() -> None:
    """It is counted and changes nothing else."""
    document = make_document()
    after, outcome = decide(document, TimerInput(NOON), make_ruleset(), NOON)
    assert (after.seq, outcome.effects, document.seq) == (1, (), 0)


def test_an_ended_enrolment_beyond_the_limit_is_forgotten_with_a_row_in_the_ledger() -> None:
    """The 201st message on its way makes the oldest one's recall and fallback impossible, and the ledger says so."""
    story = Story(make_ruleset(make_journey("note", key="event.id")))
    for number in range(MAX_ENDED + 1):
        story.tell("product.added", id=f"e{number}")
    last = story.decisions[-1]
    assert (last.journey, last.key, last.verdict, last.reason) == ("note", "e0", "skipped", "loop_limit")
    assert last.detail["gates"][0]["messages"] == [story.messages[0].message_id]
    assert sum(decision.reason == "loop_limit" for decision in story.decisions) == 1
    assert len(story.document.enrolments) == MAX_ENDED
