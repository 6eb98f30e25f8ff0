"""What a customer was before they became this one (`povod.merged`) is taken over, as if both had been one from the start.

What this customer says of themselves wins; where time decides, the later (consents, preference) or the wider (first and last seen). The
act is no sign of life and triggers nothing: what was done stays done, and the journeys that were open go on here.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from services.contracts.events import Event
from services.contracts.ids import Channel
from services.rules.core.activity import arm_silence
from services.rules.core.document import SCHEMA_VERSION, CustomerDocument, Suppression, decode_document
from services.rules.core.effects import GrantConsent
from services.rules.core.merged_stage import merge_stages
from services.rules.core.moving import take_over_journeys
from services.rules.core.profile import note_consent
from services.rules.core.recent import join
from services.rules.core.turn import Turn

MAX_SOURCES = 50
_MAX_TRAITS = 200
_MAX_CHANNELS = 32
_MAX_TYPES = 256
_MAX_SLOTS = 1_000
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def apply_merged(turn: Turn, event: Event) -> None:
    """Take over the content of a document that became a mark; raises `Rejected` where the event holds none."""
    other = decode_document(msgspec.json.encode(event.data.get("document")))
    turn.document.schema_version = SCHEMA_VERSION
    _take_sources(turn.document, other)
    _take_profile(turn.document, other)
    _take_consents(turn, event, other)
    _take_refusals(turn.document, other)
    _take_times(turn.document, other)
    merge_stages(turn, other)
    _take_last_seen(turn.document, other)
    _take_slots(turn.document, other)
    join(turn.document, other)
    take_over_journeys(turn, event, other)
    arm_silence(turn)


def _take_sources(document: CustomerDocument, other: CustomerDocument) -> None:
    """Note who became this customer, so that this customer never becomes one of them."""
    found = dict.fromkeys((*document.merged_from, *other.merged_from, other.customer))
    document.merged_from = tuple(customer for customer in found if customer != document.customer)[-MAX_SOURCES:]


def _take_profile(document: CustomerDocument, other: CustomerDocument) -> None:
    document.traits = _filled(document.traits, other.traits, _MAX_TRAITS)
    document.addresses = _filled(document.addresses, other.addresses, _MAX_CHANNELS)
    document.suppressed = _suppressed(document, other)
    document.language = document.language or other.language
    document.timezone = document.timezone or other.timezone
    document.event_timezone = document.event_timezone or other.event_timezone
    document.event_language = document.event_language or other.event_language
    if other.preference and (document.preference is None or other.preference.at > document.preference.at):
        document.preference = other.preference


def _filled(mine: Mapping[_Key, _Value], others: Mapping[_Key, _Value], most: int) -> dict[_Key, _Value]:
    """Return mine, and the others' that are not among them, while there is room."""
    added = [(key, value) for key, value in others.items() if key not in mine]
    return {**mine, **dict(added[: max(most - len(mine), 0)])}


def _suppressed(document: CustomerDocument, other: CustomerDocument) -> dict[Channel, Suppression]:
    """Return one suppression a channel: the one of the address that is used now, else this customer's."""
    kept = _filled(document.suppressed, other.suppressed, _MAX_CHANNELS)
    for channel, suppression in other.suppressed.items():
        if channel in kept and suppression.address == document.addresses.get(channel):
            kept[channel] = suppression
    return kept


def _take_consents(turn: Turn, event: Event, other: CustomerDocument) -> None:
    """The newest statement holds, on whichever side it was made; the ledger gets those that hold from now on."""
    for channel, consent in sorted(other.consents.items()):
        if note_consent(turn, channel, consent.state, consent.at):
            write_consent(turn, channel, event.source, f"{event.id}, said as {other.customer}")


def _take_refusals(document: CustomerDocument, other: CustomerDocument) -> None:
    """What the visitor's page said no to is no news when it goes on saying so."""
    if other.refused_channels:
        document.refused_channels = tuple(sorted({*document.refused_channels, *other.refused_channels})[:_MAX_CHANNELS])


def write_consent(turn: Turn, channel: Channel, source: str, evidence: str) -> None:
    """Have the consent that the document holds written into this customer's ledger: it was stated under another id."""
    consent, customer = turn.document.consents[channel], turn.document.customer
    if consent.state == "subscribed":
        turn.effects.append(GrantConsent(customer, channel, "subscribed", consent.at, source, evidence[:500]))
    elif consent.state == "unsubscribed":
        turn.effects.append(GrantConsent(customer, channel, "unsubscribed", consent.at, source, evidence[:500]))


def _take_times(document: CustomerDocument, other: CustomerDocument) -> None:
    document.first_seen_at = min((at for at in (document.first_seen_at, other.first_seen_at) if at is not None), default=None)
    document.last_activity_at = max((at for at in (document.last_activity_at, other.last_activity_at) if at is not None), default=None)


def _take_last_seen(document: CustomerDocument, other: CustomerDocument) -> None:
    latest = dict(other.last_seen)
    for name, at in document.last_seen.items():
        latest[name] = max(at, latest.get(name, at))
    document.last_seen = dict(_newest(latest, _MAX_TYPES, lambda at: at))


def _take_slots(document: CustomerDocument, other: CustomerDocument) -> None:
    """Messages to either count, each once: their ids differ."""
    document.slots = _newest({**other.slots, **document.slots}, _MAX_SLOTS, lambda slot: slot.latest_at)


def _newest(items: Mapping[Any, Any], count: int, age: Any) -> dict[Any, Any]:
    if len(items) <= count:
        return dict(items)
    return dict(sorted(items.items(), key=lambda item: (age(item[1]), item[0]))[-count:])
