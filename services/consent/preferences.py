"""What a customer wants to get: channels, topics, how often, in which language; kept in the consent ledger, told to the rules.

Topics are stated of all channels together. "Less often" is a statement too, of its own topic, so that it has its history and evidence.
"""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple
from uuid import uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent import ledger
from services.consent.ledger import ALL_CHANNELS, ALL_TOPICS, Consent, ConsentState
from services.consent.locks import lock_for_changes
from services.consent.statements import Key, Proof, state
from services.contracts.events import Event
from services.contracts.ids import NAMESPACE, Channel, CustomerId, EventId
from services.contracts.moments import to_micros
from services.runtime import event_outbox
from services.runtime.database import Database

EVENT_TYPE = "povod.preferences"
LESS_OFTEN = "povod.less_often"
"""The topic under which the ledger keeps that a customer wants fewer messages: `subscribed` is yes."""
Frequency = Literal["normal", "less"]
_EVERYTHING: Key = (ALL_CHANNELS, ALL_TOPICS)
_STATES = {True: ConsentState.SUBSCRIBED, False: ConsentState.UNSUBSCRIBED}


class Standing(NamedTuple):
    """What holds for a customer now: which channels and topics he gets, and how often."""

    channels: Mapping[Channel, bool]
    topics: Mapping[str, bool]
    frequency: Frequency


class Offer(NamedTuple):
    """What a customer is asked about. He came by `came_by`: until he says otherwise, he gets that channel."""

    came_by: Channel
    channels: Collection[Channel]
    topics: Collection[str]


class Wishes(NamedTuple):
    """What a customer says: only of what he was asked about; None where he did not change it."""

    channels: Mapping[Channel, bool]
    topics: Mapping[str, bool]
    frequency: Frequency | None
    language: str | None


async def standing_of(database: Database, customer: CustomerId, offer: Offer) -> Standing:
    """Return what holds for a customer, of what is offered and of every channel that he has said something about.

    Raises `DatabaseUnavailable`.
    """
    async with database.reading() as connection:
        return _standing(await _stated(connection, customer), offer)


async def save(database: Database, customer: CustomerId, offer: Offer, wishes: Wishes, proof: Proof) -> bool:
    """Write what differs from what held, and the events that tell the rules, in one transaction; say whether anything did.

    When it returns, it may be acknowledged. Wake the event outbox's relay afterwards. Raises `DatabaseUnavailable`. Harmless twice.
    """
    async with database.transaction() as connection:
        await lock_for_changes(connection, [customer])
        before = await _stated(connection, customer)
        standing = _standing(before, offer)
        said = _said(before, standing, wishes)
        await state(connection, customer, said, before, proof)
        told = _told(standing, wishes)
        await event_outbox.put(connection, [_event_of(customer, told, proof)] if told else [])
    return bool(said or told)


async def _stated(connection: AsyncConnection, customer: CustomerId) -> Mapping[Key, Consent]:
    return (await ledger.states_of(connection, [customer])).get(customer, {})


def _standing(stated: Mapping[Key, Consent], offer: Offer) -> Standing:
    known = {channel for channel, topic in stated if topic == ALL_TOPICS and channel != ALL_CHANNELS}
    asked = dict.fromkeys((offer.came_by, *offer.channels, *sorted(known)))
    all_left = _is(stated, _EVERYTHING, ConsentState.UNSUBSCRIBED)
    channels = {each: not all_left and _gets(stated, (each, ALL_TOPICS), otherwise=each == offer.came_by) for each in asked}
    topics = {topic: _gets(stated, (ALL_CHANNELS, topic), otherwise=True) for topic in offer.topics}
    return Standing(channels, topics, "less" if _is(stated, (ALL_CHANNELS, LESS_OFTEN), ConsentState.SUBSCRIBED) else "normal")


def _gets(stated: Mapping[Key, Consent], key: Key, *, otherwise: bool) -> bool:
    return stated[key].state is ConsentState.SUBSCRIBED if key in stated else otherwise


def _is(stated: Mapping[Key, Consent], key: Key, wanted: ConsentState) -> bool:
    return key in stated and stated[key].state is wanted


def _said(before: Mapping[Key, Consent], standing: Standing, wishes: Wishes) -> dict[Key, ConsentState]:
    """Return the statements that change something; what a form merely showed is no consent."""
    said: dict[Key, ConsentState] = {
        (channel, ALL_TOPICS): _STATES[wanted]
        for channel, wanted in wishes.channels.items()
        if channel in standing.channels and standing.channels[channel] != wanted
    }
    if _is(before, _EVERYTHING, ConsentState.UNSUBSCRIBED) and any(wishes.channels.values()):
        said = {(channel, ALL_TOPICS): _STATES[wishes.channels.get(channel, False)] for channel in standing.channels}
        said[_EVERYTHING] = ConsentState.SUBSCRIBED
    said |= {
        (ALL_CHANNELS, topic): _STATES[wanted]
        for topic, wanted in wishes.topics.items()
        if topic in standing.topics and standing.topics[topic] != wanted
    }
    if wishes.frequency not in {None, standing.frequency}:
        said[ALL_CHANNELS, LESS_OFTEN] = _STATES[wishes.frequency == "less"]
    return said


def _told(standing: Standing, wishes: Wishes) -> dict[str, str]:
    told: dict[str, str] = {}
    if wishes.frequency is not None and wishes.frequency != standing.frequency:
        told["frequency"] = wishes.frequency
    if wishes.language is not None:
        told["language"] = wishes.language
    return told


def _event_of(customer: CustomerId, told: Mapping[str, str], proof: Proof) -> Event:
    name = "\x1f".join((customer, *sorted(told.values()), str(to_micros(proof.now))))
    return Event(
        id=EventId(f"preferences:{uuid5(NAMESPACE, name)}"),
        type=EVENT_TYPE,
        source=ledger.EVENT_SOURCE,
        subject=customer,
        time=proof.now,
        receivedtime=proof.now,
        data={**told},
    )
