"""Keys that ask for signatures: nobody speaks for a customer without one, however he words it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import UNSET

from services.contracts.errors import InvalidEvent
from services.contracts.normalise import Reception, normalise

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
VISITOR = "0193b2c4-7f1e-7c3a-9d55-1f2e3d4c5b6a"


def _is_signed(customer: str, signature: str | None) -> bool:
    return signature == f"signed {customer}"


DOOR = Reception("web", trusted=False, received_at=NOW, new_id=lambda: "new", is_signed=_is_signed)


def _event(**fields: Any) -> dict[str, Any]:
    return {"type": "customer.identified", "data": {"email": "evil@shop.example"}} | fields


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({"customer": "42", "signature": "signed 42"}, "42"),
        ({"customer": 42, "signature": "signed 42"}, "42"),
        ({"subject": " 42 ", "signature": "signed 42"}, "42"),
        ({"customer": "42", "anonymous": VISITOR, "signature": "signed 42"}, "42"),
        ({"customer": "42", "anonymous": "null", "signature": "signed 42"}, "42"),
        ({"anonymous": VISITOR}, VISITOR),
        ({"customer": VISITOR, "anonymous": f" {VISITOR} "}, VISITOR),
        ({"customer": "", "anonymous": VISITOR}, VISITOR),
    ],
)
def test_who_proves_it_and_who_is_nobody_may_speak(fields: dict[str, Any], subject: str) -> None:
    """A signed customer passes however the id is written; a visitor with a random id needs no signature."""
    assert normalise(_event(**fields), DOOR).event.subject == subject


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"customer": "42"}, "/signature"),
        ({"customer": "42", "signature": ""}, "/signature"),
        ({"customer": "42", "signature": "signed 43"}, "/signature"),
        ({"subject": "42"}, "/signature"),
        ({"customer": "42", "anonymous": VISITOR}, "/signature"),
        ({"anonymous": "42"}, "/anonymous"),
        ({"anonymous": 42}, "/anonymous"),
        ({"customer": "42", "anonymous": "42"}, "/anonymous"),
        ({"customer": "", "anonymous": "42"}, "/anonymous"),
        ({"anonymous": "ann.the.customer@shop.example"}, "/anonymous"),
        ({"customer": "43", "signature": "signed 43", "anonymous": "42"}, "/anonymous"),
    ],
)
def test_nobody_speaks_for_another(fields: dict[str, Any], pointer: str) -> None:
    """No signature, another's, the victim's id as a visitor's, or as the visitor who one has been: each is refused."""
    with pytest.raises(InvalidEvent) as caught:
        normalise(_event(**fields), DOOR)
    assert (caught.value.code, caught.value.pointer) == ("bad_signature", pointer)


def test_other_keys_ask_for_nothing() -> None:
    """Without the demand a customer needs no signature, and any visitor's id is taken."""
    open_door = DOOR._replace(is_signed=None)
    assert normalise(_event(customer="42", signature="x"), open_door).event.subject == "42"
    assert normalise(_event(anonymous="42"), open_door).event.subject == "42"


@pytest.mark.parametrize(
    ("trusted", "fields", "anonymousid", "unproved"),
    [
        (False, {"customer": "42", "anonymous": VISITOR}, VISITOR, True),
        (True, {"customer": "42", "anonymous": VISITOR}, VISITOR, UNSET),
        (False, {"anonymous": VISITOR}, VISITOR, True),
        (False, {"customer": "42"}, UNSET, UNSET),
        (True, {"customer": "42", "anonymous": "42"}, UNSET, UNSET),
        (True, {"customer": "", "anonymous": "v1"}, "v1", UNSET),
    ],
)
def test_an_event_says_whose_word_it_is(trusted: bool, fields: dict[str, Any], anonymousid: object, unproved: object) -> None:  # noqa: FBT001 - a case
    """A visitor's id stands beside the customer's or for it, and what a browser says of who became whom is marked."""
    reception = Reception("web", trusted=trusted, received_at=NOW, new_id=lambda: "new")
    event = normalise(_event(**fields), reception).event
    assert (event.anonymousid, event.unproved) == (anonymousid, unproved)
