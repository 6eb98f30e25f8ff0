"""Values for tests: each builder gives a small valid one, and takes what the test is about."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from services.contracts.events import Event
from services.contracts.ids import Channel, ContentHash, CustomerId, EventId, JourneyName, StepId, TemplateName
from services.contracts.messages import Kind
from services.rules.core.document import Consent, CustomerDocument, new_document
from services.rules.core.expressions import Expression, compile_expression
from services.rules.core.indexing import build_ruleset
from services.rules.core.inputs import EventInput
from services.rules.core.ruleset import (
    Cap,
    CapScope,
    EventTrigger,
    ExitOn,
    InactiveTrigger,
    Journey,
    Lifecycle,
    Policy,
    Reentry,
    Ruleset,
    SendStep,
    Step,
    Transition,
    Trigger,
    WaitStep,
)

NOON = datetime(2024, 5, 13, 12, tzinfo=UTC)
"""A Monday."""
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EMAIL = Channel("email")
SMS = Channel("sms")
CUSTOMER = CustomerId("c-1")


def make_event(
    event_type: str = "product.added",
    data: Mapping[str, Any] | None = None,
    *,
    id: str = "",  # noqa: A002 - the event's own word
    at: datetime = NOON,
    received_at: datetime | None = None,
    customer: str = CUSTOMER,
    source: str = "shop",
    historical: bool = False,
) -> Event:
    """Return an event that happened, and was received, at `at`; without an id it is named by its type and time."""
    return Event(
        id=EventId(id or f"{event_type}@{at.isoformat()}"),
        type=event_type,
        source=source,
        subject=CustomerId(customer),
        time=at,
        receivedtime=received_at or at,
        data=dict(data or {}),
        historical=historical,
    )


def given(event_type: str = "product.added", data: Mapping[str, Any] | None = None, **more: Any) -> EventInput:
    """Return an event as an input; arguments as for `make_event`."""
    return EventInput(make_event(event_type, data, **more))


def make_document(*, subscribed: Iterable[str] = ("email", "sms"), **fields: Any) -> CustomerDocument:
    """Return a customer who can be reached, and has said yes, on the channels of `subscribed`; `fields` as in `CustomerDocument`."""
    document = new_document(CUSTOMER)
    channels = [Channel(name) for name in subscribed]
    document.addresses = {channel: f"{channel}-address" for channel in channels}
    document.consents = {channel: Consent("subscribed", NOON - 100 * DAY) for channel in channels}
    for name, value in fields.items():
        setattr(document, name, value)
    return document


def expression(text: str | None) -> Expression | None:
    """Compile an expression; `None` stays `None`."""
    return None if text is None else compile_expression(text)


def send(
    step: str = "steps/0",
    *,
    template: str = "cart-reminder",
    kind: Kind = Kind.REGULAR,
    channels: Iterable[str] = ("email",),
    tags: tuple[str, ...] = (),
    valid_for: timedelta = DAY,
) -> SendStep:
    """Return a `send` step."""
    return SendStep(StepId(step), TemplateName(template), kind, tuple(Channel(name) for name in channels), tags, valid_for)


def wait(duration: timedelta = HOUR, step: str = "steps/0") -> WaitStep:
    """Return a `wait` step."""
    return WaitStep(StepId(step), duration)


def on(event: str = "product.added", where: str | None = None) -> EventTrigger:
    """Return a trigger on an event."""
    return EventTrigger(event, expression(where))


def silence(after: timedelta, *of: str) -> InactiveTrigger:
    """Return a trigger on inactivity."""
    return InactiveTrigger(after, of)


def exit_on(event: str = "order.completed", where: str | None = None) -> ExitOn:
    """Return an exit rule."""
    return ExitOn(event, expression(where))


def reentry(
    mode: Literal["never", "always", "after"], after: timedelta = timedelta(0), since: Literal["entry", "exit", "send"] = "entry"
) -> Reentry:
    """Return a re-entry rule."""
    return Reentry(mode, after, since)


def make_journey(
    name: str = "cart", *steps: Step, trigger: Trigger | None = None, key: str | None = None, version: str = "", **fields: Any
) -> Journey:
    """Return a journey that sends at once when something is put into the cart; `fields` as in `Journey`."""
    return Journey(
        name=JourneyName(name),
        version=ContentHash(version or f"{name}-1"),
        why="a test",
        trigger=trigger or on(),
        steps=steps or (send(),),
        key=expression(key),
        **fields,
    )


def cap(
    most: int,
    per: timedelta,
    window: Literal["rolling", "calendar"] = "rolling",
    *,
    of: Literal["all", "channel", "kind", "tag", "journey"] = "all",
    name: str = "",
    stages: tuple[str, ...] = (),
    unit: Literal["day", "week", "month", ""] = "",
) -> Cap:
    """Return a frequency cap."""
    return Cap(f"{most} per {per}", most, per, window, CapScope(of, name), stages, unit)


def make_policy(**fields: Any) -> Policy:
    """Return a policy; `fields` as in `Policy`."""
    return Policy(**fields)


def make_lifecycle() -> Lifecycle:
    """Return lead - onboarding - active - dormant - archived with the moves that tests need."""
    return Lifecycle(
        stages=("lead", "onboarding", "active", "dormant", "archived"),
        initial="lead",
        transitions=(
            Transition(("lead",), "onboarding", ("customer.registered",)),
            Transition(("lead", "onboarding"), "active", ("order.completed",)),
            Transition(("active",), "dormant", (), 60 * DAY),
            Transition(("lead", "onboarding"), "dormant", (), 30 * DAY),
            Transition(("dormant", "archived"), "active", ("product.viewed", "order.completed")),
            Transition(("dormant",), "archived", (), 120 * DAY),
        ),
    )


def make_ruleset(*journeys: Journey, **fields: Any) -> Ruleset:
    """Return a rule set; `fields` as for `build_ruleset`."""
    return build_ruleset(ContentHash("rules-1"), journeys or (make_journey(),), **fields)
