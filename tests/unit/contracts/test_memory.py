"""What is remembered of strangers' words is bounded in bytes, not only in number."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from services.contracts.addresses import email_of, phone_of
from services.contracts.incoming import Incoming
from services.contracts.normalise import Reception, normalise
from services.contracts.partitioning import bucket_of, bucket_of_key
from services.ingest.peers import client_address, networks_of

DOOR = Reception("shop", trusted=False, received_at=datetime(2026, 11, 22, 12, tzinfo=UTC), new_id=lambda: "new-id")
PROXIES = networks_of(["10.0.0.0/8"])
BLANKS = " " * 100_000


def _forwarded(number: int) -> None:
    client_address("10.0.0.1", f"{number}".encode() + b"x" * 60_000, PROXIES)


WORDS: dict[str, Callable[[int], object]] = {
    "types": lambda number: normalise(Incoming(type=f"t{number}{BLANKS}", customer="1"), DOOR),
    "mail addresses": lambda number: email_of(f"ann{number}@shop.example{BLANKS}"),
    "phone numbers": lambda number: phone_of(f"+7916{1_000_000 + number}{BLANKS}", "RU"),
    "customers": lambda number: bucket_of(f"{number}" + "ы" * 50_000),
    "keys of records": lambda number: bucket_of_key(b"%d" % number + b"x" * 50_000),
    "proxies' words": _forwarded,
}


@pytest.mark.parametrize("of", list(WORDS))
def test_long_words_are_not_remembered(of: str) -> None:
    """Thirty words of a hundred kilobytes leave next to nothing in memory."""
    say = WORDS[of]
    say(0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 31):
            say(number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 500_000
