"""One event of PostHog's libraries as events of ours.

`distinct_id` is the customer, or the visitor's anonymous id where the library says that nobody has identified himself. Properties whose
names begin with `$` are PostHog's own: what says something of the customer goes to `data.context`, the rest is left out.
What a person is (`$set`, `$unset`) may stand in any event: it becomes a `customer.identified` of its own before the event.
See https://posthog.com/docs/api/capture
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from services.contracts.aliases import Aliases
from services.contracts.errors import InvalidEvent
from services.contracts.incoming import Item, Unreadable
from services.contracts.merges import IDENTIFYING
from services.ingest.doors.fields import object_of, stated, text_of

PERSON = ":person"
"""What is put behind an event's id for the `customer.identified` that goes before it."""
_IDENTIFIED = "customer.identified"
_CONTEXT = {"$ip": "ip", "$timezone": "timezone", "$browser_language": "locale", "$raw_user_agent": "userAgent"}
_PAGE = {"$current_url": "url", "$pathname": "path", "$referrer": "referrer", "title": "title"}
_CAMPAIGN = {"utm_source": "source", "utm_medium": "medium", "utm_campaign": "name", "utm_term": "term", "utm_content": "content"}
_BOOKKEEPING = frozenset({"distinct_id", "token", *_CAMPAIGN})
_NOT_KEPT = frozenset(
    {
        "$$client_ingestion_warning",
        "$$heatmap",
        "$exception",
        "$feature_flag_called",
        "$performance_event",
        "$snapshot",
        "$web_vitals",
    }
)
"""What says something of the site or its program, and nothing of a customer."""
_OF_PAGES = frozenset({"$pageview", "$screen"})
_OWN_OF_PAGES = (*_PAGE, "$screen_name")
_NOWHERE = "$direct"
"""What posthog-js calls the page before the first."""
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class Envelope(NamedTuple):
    """What a request says of all its events; `library` is as the v1 protocol's header has it: `posthog-python/7.91.1`."""

    sent_at: Any = None
    historical: Any = None
    library: str = ""


class _Read(NamedTuple):
    """An event with the places where its parts may stand brought together."""

    event: dict[str, Any]
    properties: dict[str, Any]
    options: dict[str, Any]
    envelope: Envelope

    def get(self, name: str) -> Any:
        """Return what the event says under a name, beside its properties or among them."""
        return self.event.get(name, self.properties.get(name))


def items_of(event: Any, envelope: Envelope, aliases: Aliases) -> Iterator[Item]:
    """Yield the events of ours that one of PostHog's is: one or two, an `Unreadable`, or none where it is not about a customer."""
    if not isinstance(event, dict):
        yield Unreadable(InvalidEvent("an event is a JSON object", code="not_an_object", pointer=""), event)
        return
    if text_of(event.get("event")) in _NOT_KEPT:
        return
    read = _Read(event, object_of(event.get("properties")), object_of(event.get("options")), envelope)
    read_item = _SPECIAL.get(text_of(event.get("event")))
    if read_item is not None:
        yield read_item(read)
        return
    if (traits := _traits(read)) is not None:
        person = _identified(read, traits)
        yield {**person, "id": f"{person['id']}{PERSON}"} if isinstance(person.get("id"), str) else person
    yield _tracked(read, aliases)


def _tracked(read: _Read, aliases: Aliases) -> dict[str, Any]:
    name = read.event.get("event")
    kept = _own(read.properties, text_of(name))
    event_type, data = aliases.translate(name, kept) if isinstance(name, str) else (name, kept)
    session = None if text_of(event_type) in IDENTIFYING else read.get("session_id") or read.get("$session_id")  # no fact about a person
    data = {**data, **stated({"session_id": session, "context": _context(read)})}
    return {**_envelope(read), **_who(read), "type": event_type, "data": data}


def _own(properties: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the site's own properties; those of a page are the event's too where it is about the page.

    A null says nothing: posthog-js sends one for each of the twenty click ids that the page has not been opened with.
    """
    own = {key: value for key, value in properties.items() if key[:1] != "$" and value is not None and key not in _BOOKKEEPING}
    if name in _OF_PAGES:
        own.update((key, properties[key]) for key in _OWN_OF_PAGES if properties.get(key) not in (None, _NOWHERE))
    return own


def _identified(read: _Read, traits: Mapping[str, Any]) -> dict[str, Any]:
    data = stated({"traits": traits, "context": _context(read)})
    anonymous = read.properties.get("$anon_distinct_id")
    return {**_envelope(read), **_who(read), "type": _IDENTIFIED, "data": data} | stated({"anonymous": anonymous})


def _identify(read: _Read) -> Item:
    """Return what `$identify`, `$set` and `$set_once` say; `$identify` names the customer whatever the library thinks of profiles."""
    item = _identified(read, _traits(read) or {})
    return item if read.event["event"] != "$identify" else item | {"customer": read.get("distinct_id")}


def _alias(read: _Read) -> Item:
    """Return the merge that `$create_alias` is.

    An id that a machine has made is the visitor's. Of two others the library decides: posthog-python's `alias(previous_id, distinct_id)`
    sends the new one as `alias`; all others mean `distinct_id` to stay, as PostHog's server does.
    """
    first, second = read.get("distinct_id"), read.properties.get("alias")
    made = [isinstance(each, str) and _UUID.fullmatch(each) is not None for each in (first, second)]
    is_python = _library(read)[0] == "posthog-python"
    customer, anonymous = (second, first) if (made[0] and not made[1]) or (made[0] == made[1] and is_python) else (first, second)
    return {**_envelope(read), "type": _IDENTIFIED, "customer": customer, "anonymous": anonymous}


def _merge(read: _Read) -> Item:
    return {**_envelope(read), "type": _IDENTIFIED, "customer": read.get("distinct_id"), "anonymous": read.properties.get("alias")}


def _group(read: _Read) -> Item:
    """Return the group as the customer's; a group's traits without a person are nobody's, and are refused."""
    kind, key = read.properties.get("$group_type"), read.properties.get("$group_key")
    if read.get("distinct_id") == f"${text_of(kind)}_{text_of(key)}":
        error = InvalidEvent("a group without a person: name its distinct id", code="missing_customer", pointer="/distinct_id")
        return Unreadable(error, {**read.event, "id": read.event.get("uuid")})
    group = stated({"group_id": key, "group_type": kind, "traits": read.properties.get("$group_set")})
    return {**_envelope(read), **_who(read), "type": "customer.grouped", "data": {**group, **stated({"context": _context(read)})}}


_SPECIAL: Mapping[str, Callable[[_Read], Item]] = {
    "$identify": _identify,
    "$set": _identify,
    "$set_once": _identify,
    "$unset": _identify,
    "$create_alias": _alias,
    "$merge_dangerously": _merge,
    "$groupidentify": _group,
}


def _traits(read: _Read) -> dict[str, Any] | None:
    """Return the traits that an event sets and takes away (null), None where it says nothing of them."""
    given, taken = read.get("$set"), read.get("$unset")
    gone = dict.fromkeys(name for name in taken if isinstance(name, str)) if isinstance(taken, list) else {}
    traits = {**gone, **object_of(given)}
    return {name: value for name, value in traits.items() if not name.startswith("$")} or None


def _envelope(read: _Read) -> dict[str, Any]:
    ignores_sending = read.properties.get("$ignore_sent_at") or read.options.get("disable_skew_correction")
    return stated(
        {
            "id": read.get("uuid"),
            "time": read.event.get("timestamp"),
            "sent_at": None if ignores_sending else read.envelope.sent_at,
            "historical": read.envelope.historical,
        }
    )


def _who(read: _Read) -> dict[str, Any]:
    found = read.get("distinct_id")
    if found is None:
        found = read.properties.get("$distinct_id")
    has_profile = read.options.get("process_person_profile", read.properties.get("$process_person_profile"))
    is_anonymous = read.properties.get("$is_identified") is False or has_profile is False
    return {"anonymous" if is_anonymous else "customer": found}


def _library(read: _Read) -> tuple[str, str]:
    """Return the sending library's name and version."""
    name, _, version = read.envelope.library.partition("/")
    return text_of(read.properties.get("$lib")) or name, text_of(read.properties.get("$lib_version")) or version


def _context(read: _Read) -> dict[str, Any]:
    properties = read.properties
    name, version = _library(read)
    groups = object_of(properties.get("$groups"))
    return stated(
        {
            **_renamed(properties, _CONTEXT),
            "page": _renamed(properties, _PAGE) if "$current_url" in properties else None,
            "campaign": _renamed(properties, _CAMPAIGN),
            "library": stated({"name": name, "version": version}),
            "device": stated({"type": properties.get("$device_type")}),
            "groupId": next(iter(groups.values())) if len(groups) == 1 else None,
        }
    )


def _renamed(properties: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return stated({ours: properties[theirs] for theirs, ours in names.items() if properties.get(theirs) not in (None, _NOWHERE)})
