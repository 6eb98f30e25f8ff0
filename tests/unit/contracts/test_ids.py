"""Deterministic ids."""

from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.ids import NAMESPACE, Channel, CustomerId, EnrolmentId, EventId, JourneyName, StepId, enrolment_id, message_id

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(customer=_TEXTS, key=_TEXTS)
def test_enrolment_ids_are_uuid5_of_what_they_name(customer: str, key: str) -> None:
    """An enrolment's id is the UUIDv5 of journey, customer, key and trigger, exactly as Python's own function makes it."""
    expected = str(uuid5(NAMESPACE, f"enrolment\x1fcart\x1f{customer}\x1f{key}\x1fe-1"))
    assert enrolment_id(JourneyName("cart"), CustomerId(customer), key, EventId("e-1")) == expected


def test_message_ids_are_uuid5_of_what_they_name() -> None:
    """A message's id is the UUIDv5 of enrolment, step, visit and channel, exactly as Python's own function makes it."""
    expected = str(uuid5(NAMESPACE, "message\x1fe-1\x1fsteps/0\x1f0\x1femail"))
    assert message_id(EnrolmentId("e-1"), StepId("steps/0"), 0, Channel("email")) == expected
