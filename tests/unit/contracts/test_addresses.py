"""One form for e-mail addresses and phone numbers, and what is left out."""

import copy
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from services.contracts.addresses import clean_addresses, email_of, phone_of, with_clean_addresses
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId
from services.contracts.normalise import Reception, normalise

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVER = Reception("shop", trusted=True, received_at=NOW, new_id=lambda: "new-id")


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("8 (916) 123-45-67", "RU", "+79161234567"),
        (" +7 916 123 45 67 ", "US", "+79161234567"),
        ("79161234567", "RU", "+79161234567"),
        ("9161234567", "RU", "+79161234567"),
        ("79161234567", "US", "+79161234567"),
        ("375291234567", "RU", "+375291234567"),
        ("87011234567", "RU", "+77011234567"),
        ("(201) 555-0123", "US", "+12015550123"),
        ("07911 123456", "GB", "+447911123456"),
        ("tel:+79161234567", "RU", "+79161234567"),
    ],
)
def test_phone_numbers_become_e164(text: str, region: str, number: str) -> None:
    """However it is written, a mobile number is one number; without a code it belongs to the region."""
    assert phone_of(text, region) == number
    assert phone_of(number, region) == number


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("88005553535", "is no mobile number (toll free)"),
        ("+7 495 123-45-67", "is no mobile number (fixed line)"),
        ("112", "is no phone number"),
        ("00000000000", "is no phone number"),
        ("+7916123456789", "is no phone number"),
        ("call me", "is no phone number"),
        ("", "is no phone number"),
        ("9" * 1_000, "is no phone number"),
    ],
)
def test_what_takes_no_message_is_no_number(text: str, reason: str) -> None:
    """Toll-free numbers, landlines and what is no number are refused, with the reason."""
    with pytest.raises(ValueError, match=r".+") as raised:
        phone_of(text, "RU")
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Ann@Shop.EXAMPLE ", "Ann@shop.example"),
        ("Ann Lee <ann@shop.example>", "ann@shop.example"),
        ("MAILTO:ann@shop.example", "ann@shop.example"),
        ("ivan@почта.рф", "ivan@xn--80a1acny.xn--p1ai"),
        ("Иван@пример.рф", "Иван@пример.рф"),
        ("ann+shop@mail.example", "ann+shop@mail.example"),
    ],
)
def test_mail_addresses_have_one_form(text: str, address: str) -> None:
    """The domain is small and ASCII where it can be, blanks and names around are gone, the part before the @ stays as it is."""
    assert email_of(text) == address
    assert email_of(address) == address


@pytest.mark.parametrize(
    "text", ["ann", "ann@@shop.example", "ann@shop", "a@b.test", "ann..l@shop.example", "\ud83d@x.ru", "a" * 400 + "@x.ru", ""]
)
def test_what_is_no_mail_address_is_refused(text: str) -> None:
    """Broken and unreachable addresses are refused."""
    with pytest.raises(ValueError, match=r"e-mail address$"):
        email_of(text)


def test_every_place_of_an_address_is_cleaned() -> None:
    """Data, traits and their addresses all count; what is no address is left out and named, all else stays as it was."""
    data: dict[str, Any] = {
        "email": "Ann@Shop.Example",
        "phone": 79161234567,
        "addresses": {"email": "nonsense", "sms": "8 916 123 45 67", "telegram": 42},
        "traits": {"email": "no@", "phone": "88005553535", "name": "Ann"},
        "plan": "gold",
    }
    before = copy.deepcopy(data)
    cleaned, warnings = clean_addresses(data, "RU")
    assert cleaned == {
        "email": "Ann@shop.example",
        "phone": "+79161234567",
        "addresses": {"sms": "+79161234567", "telegram": 42},
        "traits": {"name": "Ann"},
        "plan": "gold",
    }
    assert warnings == [
        "/data/addresses/email is no e-mail address; it was left out",
        "/data/traits/email is no e-mail address; it was left out",
        "/data/traits/phone is no mobile number (toll free); it was left out",
    ]
    assert data == before


@pytest.mark.parametrize("value", [True, [], {"a": 1}, 1.5, "?"])
def test_what_is_no_text_is_no_address(value: object) -> None:
    """Lists, objects, flags and fractions are left out as well."""
    assert clean_addresses({"phone": value, "email": value}, "RU").data == {}


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_stays_nothing(value: object) -> None:
    """Null means forget it, an empty text that nobody knows: neither is cleaned nor warned of."""
    assert clean_addresses({"phone": value, "email": value}, "RU") == ({"phone": value, "email": value}, [])


@pytest.mark.parametrize(
    "stated",
    [
        {"country": "us"},
        {"traits": {"country": "US"}},
        {"address": {"country": "US"}},
        {"traits": {"address": {"country": "US"}}},
        {"context": {"location": {"country": "US"}}},
        {"country": "Narnia", "traits": {"country": "US"}},
        {"country": "ZZ", "context": {"location": {"country": "US"}}},
    ],
)
def test_the_country_of_an_event_wins(stated: dict[str, Any]) -> None:
    """A number without a code belongs to the country that the event states, if that is one."""
    assert clean_addresses({"phone": "(201) 555-0123", **stated}, "RU").data["phone"] == "+12015550123"
    assert clean_addresses({"phone": "(201) 555-0123"}, "US").data["phone"] == "+12015550123"


@pytest.mark.parametrize(
    "odd", [{"traits": 5}, {"addresses": "x"}, {"context": [], "phone": None}, {"context": {"location": "US"}, "address": 1}]
)
def test_odd_shapes_are_left_alone(odd: dict[str, Any]) -> None:
    """What has another shape than expected passes as it is."""
    assert clean_addresses(odd, "RU") == (odd, [])


def test_only_identifying_events_are_cleaned() -> None:
    """A phone in an order belongs to the order; one in an identifying event to the customer."""
    data = {"phone": "8 916 123-45-67", "email": "@"}
    order = normalise({"type": "order.completed", "customer": "42", "data": data}, SERVER)
    assert (order.event.data, order.warnings) == (data, ())
    for known in ("customer.identified", "customer.registered"):
        found = normalise({"type": known, "customer": "42", "data": data}, SERVER)
        assert found.event.data == {"phone": "+79161234567"}
        assert found.warnings == ("/data/email is no e-mail address; it was left out",)


def test_events_of_files_are_cleaned_alike() -> None:
    """An event read from a file gets the same form; one that needs nothing is the same object."""
    event = Event(
        id=EventId("a"),
        type="customer.identified",
        source="file",
        subject=CustomerId("42"),
        time=NOW,
        receivedtime=NOW,
        data={"phone": "89161234567"},
    )
    cleaned = with_clean_addresses(event)
    assert cleaned.data == {"phone": "+79161234567"}
    assert with_clean_addresses(cleaned) is cleaned


def test_nobody_else_pays_for_the_libraries() -> None:
    """Normalising an event without addresses imports neither library."""
    code = (
        "import sys\nfrom tests.unit.contracts.test_addresses import SERVER, normalise\n"
        "normalise({'type': 'customer.identified', 'customer': '42', 'data': {'name': 'Ann', 'country': 'US'}}, SERVER)\n"
        "assert not {'phonenumbers', 'email_validator'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
