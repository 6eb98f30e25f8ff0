"""What events say of the customer: traits, addresses, language, zone and consents."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET

from services.contracts.events import Event
from services.contracts.ids import Channel
from services.contracts.merges import IDENTIFYING, merge_of
from services.rules.core.bounds import size_of
from services.rules.core.document import Consent, Suppression
from services.rules.core.effects import Forward, GrantConsent
from services.rules.core.turn import Turn

CONSENTING: dict[str, Literal["subscribed", "unsubscribed"]] = {"consent.given": "subscribed", "consent.withdrawn": "unsubscribed"}
GROUPING = "customer.grouped"
GROUP = "group"
"""The trait that holds the customer's group."""
_ADDRESS_FIELDS = {"email": "email", "phone": "sms", "telegram": "telegram"}
_OTHER_FIELDS = frozenset({"addresses", "consent", "context", "language", "timezone", "traits", *_ADDRESS_FIELDS})
_MAX_TRAITS = 200
_MAX_TRAIT_BYTES = 4_096
_MAX_NAME = 100
_MAX_ADDRESS = 320
_MAX_CHANNELS = 32
_LONGEST_ZONE = 64
_LONGEST_LANGUAGE = 35


def note_surroundings(turn: Turn, event: Event) -> None:
    """Keep the zone and the language that an event states: `timezone`, or what analytics libraries send in `context`."""
    found = event.data.get("context")
    context = found if isinstance(found, dict) else {}
    zone = event.data.get("timezone") or context.get("timezone")
    if isinstance(zone, str) and len(zone) <= _LONGEST_ZONE:
        turn.document.event_timezone = zone
    locale = context.get("locale")
    if isinstance(locale, str) and len(locale) <= _LONGEST_LANGUAGE:
        turn.document.event_language = locale


def update_profile(turn: Turn, event: Event) -> None:
    """Take over what an event says of the customer: traits, addresses, language, zone, consents, group; other events say nothing."""
    if event.type in IDENTIFYING:
        _identify(turn, event.data)
        if event.anonymousid is not UNSET:
            _claim(turn, event)
    elif (state := CONSENTING.get(event.type)) is not None and isinstance(channel := event.data.get("channel"), str):
        state_consent(turn, event, Channel(channel), state)
    elif event.type == GROUPING:
        _join_group(turn, event.data)


def _claim(turn: Turn, event: Event) -> None:
    """Tell the visitor's document, until it has answered: not all who write events publish the merge beside it; twice it counts once."""
    merge = merge_of(event)
    if merge is not None and merge.subject not in turn.document.merged_from:
        turn.effects.append(Forward(merge))


def _identify(turn: Turn, data: dict[str, Any]) -> None:
    traits = data.get("traits")
    own = {name: value for name, value in data.items() if name not in _OTHER_FIELDS}
    given = {**own, **traits} if isinstance(traits, dict) else own
    both = {**given, **data}
    _set_addresses(turn, both)
    _set_traits(turn, {name: value for name, value in given.items() if name not in _OTHER_FIELDS})
    if isinstance(language := both.get("language"), str) and len(language) <= _LONGEST_LANGUAGE:
        turn.document.language = language
    if isinstance(zone := both.get("timezone"), str) and len(zone) <= _LONGEST_ZONE:
        turn.document.timezone = zone
    _set_consents(turn, both.get("consent"))


def _set_traits(turn: Turn, given: dict[str, Any]) -> None:
    """Merge traits; `None` takes one away. Over-long values and names, and traits beyond the 200th, are left out."""
    traits = dict(turn.document.traits)
    for name, value in given.items():
        if value is None:
            traits.pop(name, None)
        elif len(name) <= _MAX_NAME and size_of(value) <= _MAX_TRAIT_BYTES and (name in traits or len(traits) < _MAX_TRAITS):
            traits[name] = value
    turn.document.traits = traits


def _join_group(turn: Turn, data: dict[str, Any]) -> None:
    """Keep the group and what is known of it: of the same group the traits are merged, another one takes its place."""
    name, kind, given = data.get("group_id"), data.get("group_type"), data.get("traits")
    if not isinstance(name, (str, int)):
        return
    known = turn.document.traits.get(GROUP)
    facts = known if isinstance(known, dict) and (known.get("id"), known.get("type")) == (name, kind) else {}
    group = {**facts, **(given if isinstance(given, dict) else {}), "id": name, "type": kind}
    _set_traits(turn, {GROUP: {fact: value for fact, value in group.items() if value is not None}})


def _set_addresses(turn: Turn, given: dict[str, Any]) -> None:
    addresses = dict(turn.document.addresses)
    for channel, address in _addresses(given):
        if address is None:
            addresses.pop(channel, None)
        elif 0 < len(address) <= _MAX_ADDRESS and (channel in addresses or len(addresses) < _MAX_CHANNELS):
            addresses[channel] = address
    turn.document.addresses = addresses


def _addresses(given: dict[str, Any]) -> Iterator[tuple[Channel, str | None]]:
    for field, channel in _ADDRESS_FIELDS.items():
        if field in given:
            yield from _address(channel, given[field])
    named = given.get("addresses")
    for channel, address in named.items() if isinstance(named, dict) else ():
        yield from _address(channel, address)


def _address(channel: str, value: Any) -> Iterator[tuple[Channel, str | None]]:
    """Yield the address if it is one: a text, a number (chat ids), or `None` to forget it."""
    if value is None or isinstance(value, str):
        yield Channel(channel), value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield Channel(channel), str(value)


def _set_consents(turn: Turn, given: Any) -> None:
    if turn.event is None or not isinstance(given, dict):
        return
    for channel, allowed in given.items():
        if isinstance(allowed, bool):
            state_consent(turn, turn.event, Channel(channel), "subscribed" if allowed else "unsubscribed")


def state_consent(turn: Turn, event: Event, channel: Channel, state: Literal["subscribed", "unsubscribed"]) -> None:
    """Copy a consent that an event stated, and have it written into the ledger."""
    if note_consent(turn, channel, state, turn.happened_at):
        evidence = f"{event.type} {event.id}"[:500]
        turn.effects.append(GrantConsent(turn.document.customer, channel, state, turn.happened_at, event.source, evidence))


def note_consent(turn: Turn, channel: Channel, state: str, at: datetime) -> bool:
    """Keep a consent if it is the newest; of two at the same moment the withdrawal holds. Say whether it was kept."""
    consents = turn.document.consents
    known = consents.get(channel)
    if known is not None and (at < known.at or (at == known.at and known.state == "unsubscribed")):
        return False
    if (known is None and len(consents) >= _MAX_CHANNELS) or len(channel) > _MAX_NAME:
        return False
    turn.document.consents = {**consents, channel: Consent(state, at)}
    return True


def suppress(turn: Turn, channel: Channel, address: str, reason: str) -> None:
    """Keep that an address must not be used again."""
    if channel in turn.document.suppressed or len(turn.document.suppressed) < _MAX_CHANNELS:
        turn.document.suppressed = {**turn.document.suppressed, channel: Suppression(address[:_MAX_ADDRESS], reason[:_MAX_NAME])}


def unsuppress(turn: Turn, channel: Channel) -> None:
    """Forget a channel's suppression."""
    turn.document.suppressed = {name: kept for name, kept in turn.document.suppressed.items() if name != channel}
