"""Bytes on the topics: CloudEvents 1.0 structured JSON for events, tagged JSON for commands.

Decoding is strict: what comes from a topic is input like any other (any producer may write to Kafka).
"""

from datetime import UTC, datetime

import msgspec

from services.contracts.errors import InvalidCommand, InvalidEvent
from services.contracts.events import Event
from services.contracts.messages import Command

EVENT_HEADERS = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
"""Kafka protocol binding for CloudEvents, structured mode."""
TRACEPARENT = "traceparent"

_encoder = msgspec.json.Encoder()
_event_decoder = msgspec.json.Decoder(Event)
_command_decoder = msgspec.json.Decoder(Command)


def encode_event(event: Event) -> bytes:
    """Encode one event as the value of an events topic record."""
    return _encoder.encode(event)


def decode_event(value: bytes) -> Event:
    """Decode one event; times come back as aware UTC.

    Raises `InvalidEvent` on anything that is no event: wrong JSON, missing attributes, naive times, nesting too deep.
    """
    try:
        event = _event_decoder.decode(value)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidEvent(str(error), code="undecodable_event") from error
    if event.time.tzinfo is None or event.receivedtime.tzinfo is None:
        raise InvalidEvent("time and receivedtime must carry an offset", code="naive_time", pointer="/time")
    if event.time.tzinfo is not UTC or event.receivedtime.tzinfo is not UTC:
        event = msgspec.structs.replace(event, time=as_utc(event.time), receivedtime=as_utc(event.receivedtime))
    return event


def encode_command(command: Command) -> bytes:
    """Encode one command as the value of a dispatch topic record."""
    return _encoder.encode(command)


def decode_command(value: bytes) -> Command:
    """Decode one command; raises `InvalidCommand` on anything else."""
    try:
        command: Command = _command_decoder.decode(value)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidCommand(str(error), code="undecodable_command") from error
    return command


def as_utc(moment: datetime) -> datetime:
    """Return the same instant in UTC; raises `InvalidEvent` where it lies outside the years 1 to 9999."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidEvent(f"{moment.isoformat()} is outside the years 1 to 9999", code="time_out_of_range", pointer="/time") from error


def key_of(customer: str) -> bytes:
    """Return the record key of a customer: the id in UTF-8."""
    return customer.encode()
