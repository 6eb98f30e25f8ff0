"""Documents kept between batches."""

from services.contracts.ids import CustomerId
from services.rules.cache import DocumentCache
from services.rules.core.document import new_document


def test_the_least_used_goes_first() -> None:
    """Beyond its number the cache lets go of what was not asked for longest."""
    cache = DocumentCache(max_documents=2)
    for name in ("a", "b"):
        cache.put(0, new_document(CustomerId(name)), 1)
    cache.get(0, CustomerId("a"))
    cache.put(0, new_document(CustomerId("c")), 1)
    assert [cache.get(0, CustomerId(name)) is not None for name in ("a", "b", "c")] == [True, False, True]


def test_bytes_are_bounded() -> None:
    """The bytes of stored forms are counted; a replaced document counts once."""
    cache = DocumentCache(max_bytes=10)
    cache.put(0, new_document(CustomerId("a")), 6)
    cache.put(0, new_document(CustomerId("a")), 4)
    cache.put(0, new_document(CustomerId("b")), 6)
    assert len(cache) == 2
    cache.put(0, new_document(CustomerId("c")), 5)
    assert cache.get(0, CustomerId("c")) is not None
    assert cache.get(0, CustomerId("a")) is None


def test_a_dropped_partition_is_forgotten() -> None:
    """Dropping one partition leaves the others."""
    cache = DocumentCache()
    cache.put(0, new_document(CustomerId("a")), 1)
    cache.put(1, new_document(CustomerId("a")), 1)
    cache.drop(0)
    assert cache.get(0, CustomerId("a")) is None
    assert cache.get(1, CustomerId("a")) is not None
