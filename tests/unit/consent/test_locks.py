"""Stripes of the consent lock."""

from services.consent.locks import STRIPES, stripes_of
from services.contracts.ids import CustomerId


def test_stripes_rise_and_come_once() -> None:
    """Every transaction takes its stripes in the same order, each once."""
    customers = [CustomerId(f"c{n}") for n in range(500)]
    stripes = stripes_of([*customers, *reversed(customers)], [])
    assert stripes == sorted(set(stripes)) == list(range(STRIPES))


def test_an_address_is_one_stripe_however_it_is_spelt() -> None:
    """Case and white space of an address do not make it another lock."""
    assert stripes_of([], [" Ann@Shop.example"]) == stripes_of([], ["ann@shop.example"])


def test_nobody_is_no_stripe() -> None:
    """Nothing to lock takes nothing."""
    assert stripes_of([], []) == []
