"""The stage machine."""

from datetime import timedelta

from tests.builders import DAY, NOON, make_document, make_journey, make_lifecycle, make_ruleset
from tests.story import Story

SECOND = timedelta(seconds=1)


def story(**fields: object) -> Story:
    """Return a story under the lifecycle of the example."""
    document = make_document()
    for name, value in fields.items():
        setattr(document, name, value)
    return Story(make_ruleset(make_journey(stages=("nobody",)), lifecycle=make_lifecycle()), document)


def test_first_contact_begins_the_lifecycle() -> None:
    """Whoever we see for the first time is a lead; a registration moves them on in the same input."""
    seen, registered = story(), story()
    seen.tell("page.viewed")
    registered.tell("customer.registered")
    assert (seen.document.stage, registered.document.stage) == ("lead", "onboarding")


def test_the_first_transition_that_fits_is_followed() -> None:
    """One event moves one stage, from the stages that the transition names."""
    told = story(stage="onboarding")
    told.tell("customer.registered")
    assert told.document.stage == "onboarding"
    told.tell("order.completed", at=NOON + DAY)
    assert (told.document.stage, told.document.stage_since) == ("active", NOON + DAY)


def test_silence_moves_on() -> None:
    """Active, then dormant after 60 days, archived after 120 days, counted from the last sign of life."""
    told = story(stage="active")
    told.tell("page.viewed")
    told.wait_until(NOON + 60 * DAY - SECOND)
    assert told.document.stage == "active"
    told.wait_until(NOON + 60 * DAY)
    assert (told.document.stage, told.document.stage_since) == ("dormant", NOON + 60 * DAY)
    told.wait_until(NOON + 120 * DAY)
    assert (told.document.stage, told.document.stage_due_at) == ("archived", None)


def test_a_sign_of_life_brings_back() -> None:
    """An archived customer who looks at a product is active, and the count begins anew."""
    told = story(stage="archived", last_activity_at=NOON - 200 * DAY)
    told.tell("product.viewed")
    assert (told.document.stage, told.document.stage_due_at) == ("active", NOON + 60 * DAY)


def test_activity_does_not_move_the_timer() -> None:
    """It fires early and looks again."""
    told = story(stage="active")
    told.tell("page.viewed")
    told.tell("page.viewed", at=NOON + 30 * DAY)
    assert told.document.stage_due_at == NOON + 60 * DAY
    told.wait_until(NOON + 60 * DAY)
    assert (told.document.stage, told.document.stage_due_at) == ("active", NOON + 90 * DAY)


def test_moving_to_a_stage_with_a_shorter_patience_arms_anew() -> None:
    """A lead waits 30 days; once active, 60: the timer follows the stage."""
    told = story()
    told.tell("page.viewed")
    assert told.document.stage_due_at == NOON + 30 * DAY
    told.tell("order.completed", at=NOON + DAY)
    told.wait_until(NOON + 31 * DAY)
    assert told.document.stage == "active"
    told.wait_until(NOON + 61 * DAY)
    assert told.document.stage == "dormant"


def test_a_past_that_was_imported_ends_where_it_belongs() -> None:
    """Last seen 100 days ago is dormant, once the import has had an hour to tell of something newer."""
    told = story(stage="active")
    told.tell("page.viewed", at=NOON - 100 * DAY, received_at=NOON, historical=True)
    assert (told.document.stage, told.document.stage_due_at) == ("active", NOON + timedelta(hours=1))
    told.wait_until(NOON + timedelta(hours=1))
    assert (told.document.stage, told.document.stage_due_at) == ("dormant", NOON + 20 * DAY)


def test_without_a_lifecycle_there_is_no_stage() -> None:
    """Nothing moves and nothing is armed."""
    told = Story(make_ruleset())
    told.tell("customer.registered")
    assert (told.document.stage, told.document.stage_due_at) == ("", None)
