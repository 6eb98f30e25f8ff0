"""What of a document fits into one event. Small parts always go along; of the others, what matters most goes first, the newest first."""

from collections import Counter
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from services.contracts.ids import JourneyName
from services.rules.core.document import CustomerDocument, Entry, encode_document

MAX_CARRIED = 600_000
"""Bytes of JSON; with what stands around it, well below the largest record of a topic."""
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_encoder = msgspec.json.Encoder()
_PUNCTUATION = 4


def fit_document(document: CustomerDocument, limit: int = MAX_CARRIED) -> tuple[CustomerDocument, dict[str, int]]:
    """Return the document, without what is too much for `limit` bytes, and how many items of each part were left out.

    Always kept: ids of recent events, addresses, consents, suppressions, language, zones, stage, times, preference. Then, while there is
    room: slots, the times of event types, exits seen, enrolments, what re-entry remembers, traits.
    """
    if len(encode_document(document)) <= limit:
        return document, {}
    bare = msgspec.structs.replace(document, slots={}, last_seen={}, exits={}, enrolments={}, entries={}, traits={})
    room = _Room(limit - len(encode_document(bare)))
    fitted = msgspec.structs.replace(
        bare,
        slots=room.newest("slots", document.slots),
        last_seen=room.newest("last_seen", dict(sorted(document.last_seen.items(), key=itemgetter(1)))),
        exits=room.newest("exits", document.exits),
        enrolments=room.newest("enrolments", document.enrolments),
        entries=_grouped(room.newest("entries", _by_age(document.entries))),
        traits=room.newest("traits", document.traits),
    )
    return fitted, dict(room.left_out)


class _Room:
    """Bytes that are left, and what did not fit into them."""

    def __init__(self, left: int) -> None:
        self.left_out: Counter[str] = Counter()
        self._left = left

    def newest(self, part: str, items: Mapping[_Key, _Value]) -> dict[_Key, _Value]:
        """Return the items that fit, in their order; the last are asked first."""
        kept = [(key, value) for key, value in reversed(list(items.items())) if self._fits(part, key, value)]
        return dict(reversed(kept))

    def _fits(self, part: str, key: Any, value: Any) -> bool:
        size = len(_encoder.encode(key)) + len(_encoder.encode(value)) + _PUNCTUATION
        if size > self._left:
            self.left_out[part] += 1
            return False
        self._left -= size
        return True


def _by_age(entries: Mapping[JourneyName, Mapping[str, Entry]]) -> dict[tuple[JourneyName, str], Entry]:
    flat = {(journey, key): entry for journey, keys in entries.items() for key, entry in keys.items()}
    return dict(sorted(flat.items(), key=lambda item: item[1].entered_at))


def _grouped(flat: Mapping[tuple[JourneyName, str], Entry]) -> dict[JourneyName, dict[str, Entry]]:
    entries: dict[JourneyName, dict[str, Entry]] = {}
    for (journey, key), entry in flat.items():
        entries.setdefault(journey, {})[key] = entry
    return entries
