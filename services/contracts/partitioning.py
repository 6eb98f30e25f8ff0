"""Where a customer lives: Kafka's own murmur2 of the customer id, so that any producer's default partitioner agrees with ours."""

from functools import lru_cache

BUCKETS = 1024
"""Partition counts are powers of two up to this; a partition is `bucket % partitions`."""
_M = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF
_LONGEST_REMEMBERED = 64
"""Characters or bytes of a name whose bucket is remembered: strangers choose names, and 65,536 long ones are a hundred megabytes."""


def murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit murmur2 hash as Kafka's Java client computes it (org.apache.kafka.common.utils.Utils)."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if tail := data[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def bucket_of(customer: str) -> int:
    """Return the customer's bucket, 0 to 1023; it never changes."""
    return _bucket_of_name(customer) if len(customer) <= _LONGEST_REMEMBERED else _bucket(customer.encode())


def bucket_of_key(key: bytes) -> int:
    """Return the bucket of a record's key (a customer id in UTF-8, or whatever another topic is keyed by)."""
    return _bucket_of_key(key) if len(key) <= _LONGEST_REMEMBERED else _bucket(key)


@lru_cache(maxsize=65_536)
def _bucket_of_name(customer: str) -> int:
    return _bucket(customer.encode())


@lru_cache(maxsize=65_536)
def _bucket_of_key(key: bytes) -> int:
    return _bucket(key)


def _bucket(key: bytes) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % BUCKETS


def partition_of(customer: str, partitions: int) -> int:
    """Return the partition of a topic with that many partitions (a power of two up to 1024)."""
    return bucket_of(customer) % partitions


def partition_of_key(key: bytes, partitions: int) -> int:
    """Return the partition of a record's key: what Kafka's default partitioner says, for a power of two up to 1024."""
    return bucket_of_key(key) % partitions
