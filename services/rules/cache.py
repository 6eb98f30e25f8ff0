"""Documents of owned partitions, kept between batches: the newest used, bounded by number and by bytes."""

from collections import OrderedDict
from typing import NamedTuple

from services.contracts.ids import CustomerId
from services.rules.core.document import CustomerDocument

MAX_DOCUMENTS = 20_000
MAX_BYTES = 48 * 1024 * 1024
"""Of the stored form; a decoded document takes some times as much memory."""


class _Kept(NamedTuple):
    document: CustomerDocument
    size: int


class DocumentCache:
    """One process's documents, by partition and customer. Only what a committed transaction wrote or read may be put in.

    Documents are never changed in place, so the cached ones may be handed out as they are.
    """

    def __init__(self, max_documents: int = MAX_DOCUMENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_documents = max_documents
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[int, CustomerId], _Kept] = OrderedDict()
        self._bytes = 0

    def get(self, partition: int, customer: CustomerId) -> CustomerDocument | None:
        """Return a customer's document, None where it is not held."""
        found = self._kept.get((partition, customer))
        if found is None:
            return None
        self._kept.move_to_end((partition, customer))
        return found.document

    def put(self, partition: int, document: CustomerDocument, size: int) -> None:
        """Keep a document of that many bytes; lets go of those not used for longest."""
        self._remove((partition, document.customer))
        self._kept[partition, document.customer] = _Kept(document, size)
        self._bytes += size
        while len(self._kept) > self._max_documents or self._bytes > self._max_bytes:
            self._remove(next(iter(self._kept)))

    def drop(self, partition: int) -> None:
        """Forget a partition: it was revoked, or what is stored may differ from what we hold."""
        for key in [key for key in self._kept if key[0] == partition]:
            self._remove(key)

    def _remove(self, key: tuple[int, CustomerId]) -> None:
        if (found := self._kept.pop(key, None)) is not None:
            self._bytes -= found.size

    def __len__(self) -> int:
        return len(self._kept)
