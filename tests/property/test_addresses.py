"""Addresses of any shape: never an exception, one form once and for ever; masked text stays masked."""

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.contracts.addresses import clean_addresses
from services.runtime.telemetry.redaction import mask

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=6,
)
PHONES = st.text("+0123456789 ()-.;ext", max_size=24) | st.from_regex(r"\+?[78]9[0-9]{9}", fullmatch=True)
MAILS = st.emails() | st.from_regex(r"[a-zA-Zа-я.+]{1,8}@[a-zA-Zа-я.-]{1,12}", fullmatch=True)
FIELDS = {
    "email": MAILS | JSON,
    "phone": PHONES | JSON,
    "country": st.sampled_from(["RU", "us", "ZZ", 5]) | JSON,
    "addresses": st.fixed_dictionaries({}, optional={"email": MAILS | JSON, "sms": PHONES | JSON}) | JSON,
}
DATA = st.fixed_dictionaries({}, optional={**FIELDS, "traits": st.fixed_dictionaries({}, optional=FIELDS) | JSON, "context": JSON})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # the first address loads lists of domains and of countries
@given(DATA, st.sampled_from(["RU", "US", "DE"]))
@example({"email": "\ud83d@x.ru", "phone": "\x00+7"}, "RU")
@example({"phone": 9.161234567e9, "traits": {"phone": 1e300}}, "RU")
def test_clean_addresses_stay_as_they_are(data: dict[str, Any], region: str) -> None:
    """Whatever stands there, cleaning ends well; what was cleaned has nothing left to clean, and lost only what was named."""
    cleaned, warnings = clean_addresses(data, region)
    assert clean_addresses(cleaned, region) == (cleaned, [])
    assert (len(warnings) == 0) or cleaned != data
    assert set(cleaned) <= set(data)


@given(st.text(max_size=200), st.emails())
def test_no_mail_address_is_shown(text: str, address: str) -> None:
    """An address between any other words is never shown whole."""
    assert f" {address} " not in mask(f"{text} {address} {text}")
