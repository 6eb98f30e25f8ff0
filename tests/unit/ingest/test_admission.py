"""The token bucket of a key, and the bytes in flight."""

import pytest

from services.ingest.admission import InFlight, RateLimit
from services.ingest.refusals import RequestRefused


def _refusal(limit: RateLimit, key: str, now: float) -> RequestRefused:
    with pytest.raises(RequestRefused) as raised:
        limit.admit(key, now)
    return raised.value


def test_a_burst_of_the_rate_is_let_in() -> None:
    """A key may post its whole second at once, then has to wait until the bucket holds something again."""
    limit = RateLimit(10)
    limit.admit("shop", 0.0)
    limit.charge("shop", 10, 0.0)
    assert _refusal(limit, "shop", 0.0).code == "rate_limited"
    limit.admit("shop", 0.1)


def test_a_large_request_is_paid_for_afterwards() -> None:
    """A request over the rate is let in, and the key waits until its debt is gone; whole seconds, at least one."""
    limit = RateLimit(10)
    limit.admit("shop", 0.0)
    limit.charge("shop", 45, 0.0)
    assert _refusal(limit, "shop", 0.0).retry_after == 4
    assert _refusal(limit, "shop", 3.4).retry_after == 1
    limit.admit("shop", 3.6)


def test_keys_have_buckets_of_their_own() -> None:
    """One key's debt is not another's."""
    limit = RateLimit(1)
    limit.charge("shop", 100, 0.0)
    limit.admit("web", 0.0)


def test_a_bucket_never_holds_more_than_a_second() -> None:
    """Silence is not saved up."""
    limit = RateLimit(10)
    limit.charge("shop", 0, 0.0)
    limit.charge("shop", 10, 1_000.0)
    assert _refusal(limit, "shop", 1_000.0).retry_after == 1


def test_no_rate_is_no_limit() -> None:
    """A rate of 0 lets everything in."""
    limit = RateLimit(0)
    limit.charge("shop", 1_000_000, 0.0)
    limit.admit("shop", 0.0)


def test_bytes_in_flight_are_bounded() -> None:
    """What would pass the limit is refused with a 503 and holds nothing; what is given back may be taken again."""
    in_flight = InFlight(100)
    in_flight.take(60)
    in_flight.take(40)
    with pytest.raises(RequestRefused) as raised:
        in_flight.take(1)
    assert (raised.value.code, raised.value.retry_after, in_flight.held) == ("overloaded", 1, 100)
    in_flight.give_back(60)
    in_flight.take(60)
    assert in_flight.held == 100


def test_a_key_may_have_a_rate_of_its_own() -> None:
    """A key's own rate stands in for the general one, be that higher, lower or none."""
    limit = RateLimit(10)
    limit.charge("shop", 50, 0.0, 100)
    limit.admit("shop", 0.0, 100)
    limit.charge("shop", 150, 0.0, 100)
    with pytest.raises(RequestRefused) as raised:
        limit.admit("shop", 0.0, 100)
    assert (raised.value.message, raised.value.retry_after) == ("this key may post 100 events a second", 1)
    unlimited = RateLimit(0)
    unlimited.charge("web", 3, 0.0, 1)
    with pytest.raises(RequestRefused) as raised:
        unlimited.admit("web", 0.0, 1)
    assert raised.value.retry_after == 2
