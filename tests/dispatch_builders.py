"""Messages for the tests of dispatch: each builder gives a small valid one, and takes what the test is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from services.contracts import codec
from services.contracts.ids import Channel, ContentHash, CustomerId, EnrolmentId, JourneyName, MessageId, StepId, TemplateName
from services.contracts.messages import Command, Kind, Message, Recall, Window
from services.runtime.eventlog.port import Batch, Record, TopicPartition

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EMAIL, SMS, TELEGRAM = Channel("email"), Channel("sms"), Channel("telegram")
PARTITION = TopicPartition("povod.dispatch", 0)
TEMPLATE_FILES = {
    "email/en/subject.txt": "Hello {{ name }}",
    "email/en/body.txt": "Your cart waits, {{ name }}. {{ unsubscribe_url }}",
    "email/en/body.html": "<p>Your cart waits, {{ name }}.</p>",
    "sms/en/text.txt": "Your cart waits, {{ name }}",
    "telegram/en/text.txt": "Your cart waits, {{ name }}",
}


def make_message(
    message_id: str = "",
    *,
    customer: str = "ann",
    channel: Channel = EMAIL,
    recipient: str = "",
    kind: Kind = Kind.REGULAR,
    journey: str = "cart",
    template: str = "cart-reminder",
    template_version: ContentHash | None = None,
    not_before: datetime = START,
    lasts: timedelta = timedelta(days=1),
    windows: tuple[Window, ...] | None = None,
    context: Mapping[str, Any] | None = None,
    language: str = "en",
    tags: tuple[str, ...] = (),
) -> Message:
    """Return a message that may go at once, for a day."""
    default = {EMAIL: f"{customer}@shop.example", SMS: "+79161234567", TELEGRAM: "4242"}
    return Message(
        message_id=MessageId(message_id or str(uuid4())),
        customer=CustomerId(customer),
        channel=channel,
        recipient=recipient or default[channel],
        template=TemplateName(template),
        template_version=template_version,
        language=language,
        kind=kind,
        decided_at=not_before,
        not_before=not_before,
        expires_at=not_before + lasts,
        windows=windows if windows is not None else (Window(not_before, not_before + lasts),),
        ruleset=ContentHash("r" * 64),
        journey=JourneyName(journey),
        step=StepId("steps/0"),
        enrolment=EnrolmentId("e-1"),
        tags=tags,
        context={"name": "Ann"} if context is None else dict(context),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def make_recall(message_id: str, *, customer: str = "ann", reason: str = "exited") -> Recall:
    """Return a recall of a message."""
    return Recall(message_id=MessageId(message_id), customer=CustomerId(customer), reason=reason, recalled_at=START)


def make_batch(*commands: Command | bytes, first: int = 0, partition: TopicPartition = PARTITION) -> Batch:
    """Return a batch of the dispatch topic, its records from offset `first` on; bytes are records as they are."""
    values = [command if isinstance(command, bytes) else codec.encode_command(command) for command in commands]
    records = [Record(*partition, offset, b"ann", value, (), START) for offset, value in enumerate(values, start=first)]
    return Batch(records, first + len(records), None)
