"""Random lives for the decision core: rule sets with everything in them, and what may happen to a customer."""

from datetime import time, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from services.contracts.ids import StepId
from services.contracts.messages import Kind
from services.rules.core.expressions import compile_expression
from services.rules.core.ruleset import IfStep, QuietHours, Ruleset
from tests.builders import (
    DAY,
    HOUR,
    NOON,
    cap,
    exit_on,
    make_document,
    make_event,
    make_journey,
    make_lifecycle,
    make_policy,
    make_ruleset,
    on,
    reentry,
    send,
    silence,
    wait,
)
from tests.story import Story

MINUTE = timedelta(minutes=1)
ZONES = ("UTC", "Europe/Moscow", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia")


class Happening(NamedTuple):
    """One thing that happens `after` the one before: an event, or a report on an earlier message."""

    after: timedelta
    event_type: str
    data: dict[str, Any]
    late_by: timedelta
    historical: bool
    report_on: int


DATA = st.fixed_dictionaries(
    {"cart": st.sampled_from(["a", "b", "c"])},
    optional={
        "total": st.one_of(st.none(), st.integers(0, 1_000), st.text(max_size=3)),
        "email": st.one_of(st.none(), st.sampled_from(["a@b", "c@d", ""])),
        "channel": st.sampled_from(["email", "sms"]),
        "state": st.sampled_from(["subscribed", "unsubscribed", "suppressed", "released"]),
        "consent": st.dictionaries(st.sampled_from(["email", "sms"]), st.booleans()),
        "timezone": st.sampled_from(ZONES),
        "traits": st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.integers(), st.text(max_size=3)), max_size=3),
        "suppress": st.booleans(),
    },
)
TYPES = (
    *("product.added",) * 5,
    *(
        "order.completed",
        "page.viewed",
        "customer.registered",
        "customer.identified",
        "consent.given",
        "consent.withdrawn",
        "povod.consent",
    ),
    *("message.sent",) * 3,
    *("message.failed", "message.refused", "message.recalled", "message.expired", "message.unknown", "message.clicked"),
)
HAPPENINGS = st.lists(
    st.builds(
        Happening,
        after=st.one_of(st.integers(0, 300), st.integers(0, 40_000)).map(lambda minutes: minutes * MINUTE),
        event_type=st.sampled_from(TYPES),
        data=DATA,
        late_by=st.sampled_from([0, 0, 0, 1, 90, 3_000, -60]).map(lambda minutes: minutes * MINUTE),
        historical=st.sampled_from([False, False, False, False, True]),
        report_on=st.integers(0, 5),
    ),
    max_size=25,
)


def everything(**policy: Any) -> Ruleset:
    """Return a rule set that uses every part of the language."""
    branch = IfStep(
        StepId("steps/2"), compile_expression("event.total > 100 or customer.a == 1"), (send("steps/2/then/0", kind=Kind.INCENTIVE),)
    )
    cart = make_journey(
        "cart",
        wait(),
        send("steps/1", channels=("email", "sms"), tags=("cart",)),
        branch,
        wait(DAY, "steps/3"),
        send("steps/4", channels=("sms",), valid_for=2 * HOUR),
        key="event.cart",
        reentry=reentry("after", DAY, "exit"),
        exit_on=(exit_on("order.completed", "event.cart == trigger.cart"),),
        priority=5,
    )
    return make_ruleset(
        cart,
        make_journey(
            "thanks",
            send(kind=Kind.SERVICE),
            trigger=on("order.completed", "event.total >= 50"),
            reentry=reentry("never"),
            key="event.cart",
        ),
        make_journey(
            "back", trigger=silence(14 * DAY), stages=("lead", "onboarding", "active", "dormant"), exit_on=(exit_on("page.viewed"),)
        ),
        make_journey("no-order", send(channels=("sms", "email")), trigger=silence(7 * DAY, "order.completed")),
        make_journey("hello", send(), send("steps/1"), trigger=on("customer.registered"), reentry=reentry("after", DAY, "send")),
        policy=make_policy(**policy),
        lifecycle=make_lifecycle(),
    )


NIGHT = QuietHours(time(21), time(9), exempt_kinds=(Kind.SERVICE,))
FULL = everything(
    quiet_hours=(NIGHT, QuietHours(time(13), time(14), channels=())),
    caps=(cap(2, 7 * DAY), cap(1, DAY, "calendar", of="channel", name="sms"), cap(1, 3 * DAY, of="kind", name="incentive")),
    min_gap=2 * HOUR,
    default_timezone="Europe/Moscow",
)


def live(story: Story, happenings: list[Happening]) -> Story:
    """Let all of it happen, and time pass until nothing is left to do."""
    now = NOON
    for number, happening in enumerate(happenings):
        now += happening.after
        data = dict(happening.data)
        if happening.event_type.startswith("message.") and story.messages:
            message = story.messages[-1 - happening.report_on % len(story.messages)]
            data |= {"message_id": message.message_id, "channel": message.channel}
        event = make_event(
            happening.event_type, data, id=str(number), at=now - happening.late_by, received_at=now, historical=happening.historical
        )
        story.tell_event(event)
    story.wait_until(now + 400 * DAY)
    return story


def told(rules: Ruleset, happenings: list[Happening]) -> Story:
    """Return the story of these happenings."""
    return live(Story(rules, make_document()), happenings)
