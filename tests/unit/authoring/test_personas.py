"""The example shop's people: always the same, reachable by nobody, and as incomplete as real ones."""

from services.authoring.personas import persona_of, registration_of

PEOPLE = {f"user_{i:04d}": persona_of(f"user_{i:04d}") for i in range(600)}


def test_the_same_id_is_the_same_person() -> None:
    """Every run of the demo tells the same story."""
    assert persona_of("user_0042") == PEOPLE["user_0042"]
    assert len({person.email for person in PEOPLE.values() if person.email}) > 500


def test_addresses_can_belong_to_nobody() -> None:
    """example.org is reserved, and the code 000 of +7 was never given out."""
    assert all(person.email in {"", f"{customer}@example.org"} for customer, person in PEOPLE.items())
    assert all(person.phone == "" or (person.phone.startswith("+7945") and len(person.phone) == 12) for person in PEOPLE.values())


def test_nobody_agrees_where_they_left_no_address() -> None:
    """A consent belongs to an address that is there."""
    for person in PEOPLE.values():
        left = {"email": person.email, "sms": person.phone, "telegram": person.telegram}
        assert set(person.consent) <= {channel for channel, address in left.items() if address}


def test_some_have_not_agreed_and_some_can_not_be_reached() -> None:
    """The shares are those that the module names, so that every kind of silence is met in the demo."""
    refused = [person for person in PEOPLE.values() if not person.consent]
    russian = [person for person in PEOPLE.values() if person.language == "ru"]
    without_phone = [person for person in PEOPLE.values() if not person.phone]

    assert 10 < len(refused) < 80
    assert 440 < len(russian) < 520
    assert 160 < len(without_phone) < 260


def test_a_registration_leaves_out_what_is_not_known() -> None:
    """Empty addresses are no addresses; the shop's loyalty class is added."""
    customer = next(customer for customer, person in PEOPLE.items() if not person.phone)

    data = registration_of(customer, "loyal")

    assert "phone" not in data
    assert (data["loyalty"], data["name"]) == ("loyal", PEOPLE[customer].name)
