"""Duplicates: by source and id, within 48 hours."""

from datetime import timedelta

from services.rules.core.decide import decide, needs_history_lookup
from services.rules.core.document import new_document
from services.rules.core.recent import MAX_RECORDS, digest_of, remember, remembers
from tests.builders import CUSTOMER, HOUR, NOON, given, make_document, make_event, make_ruleset
from tests.story import Story

SECOND = timedelta(seconds=1)


def test_the_same_event_is_decided_once() -> None:
    """The second time, the document is the same object, nothing is done and nothing is counted."""
    story = Story(make_ruleset())
    story.tell(id="a")
    before = story.document
    outcome = story.tell(id="a", at=NOON + HOUR)
    assert outcome.duplicate
    assert outcome.effects == ()
    assert story.document is before
    assert before.seq == 1


def test_another_source_may_use_the_same_id() -> None:
    """Deduplication is by source and id, so two sources do not get in each other's way."""
    story = Story(make_ruleset())
    story.tell(id="a", source="shop")
    assert not story.tell(id="a", source="crm").duplicate
    assert story.document.seq == 2
    assert story.messages[0].message_id != story.messages[1].message_id


def test_memory_lasts_48_hours() -> None:
    """One second before the 48 hours are over an event is a duplicate, at 48 hours it is new."""
    document = new_document(CUSTOMER)
    digest = digest_of(make_event(id="a"))
    remember(document, digest, NOON)
    assert remembers(document, digest, NOON + 48 * HOUR - SECOND)
    assert not remembers(document, digest, NOON + 48 * HOUR)


def test_old_records_are_dropped() -> None:
    """A record older than 48 hours makes room when the next one comes."""
    document = new_document(CUSTOMER)
    remember(document, digest_of(make_event(id="a")), NOON)
    remember(document, digest_of(make_event(id="b")), NOON + 48 * HOUR)
    assert len(document.recent) == 12
    assert document.recent_lost_at is None


def test_a_record_is_found_only_at_its_place() -> None:
    """Bytes that look like a digest across two records are no duplicate."""
    document = new_document(CUSTOMER)
    remember(document, b"abcdefgh", NOON)
    remember(document, b"ijklmnop", NOON)
    straddling = document.recent[4:12]
    assert not remembers(document, straddling, NOON)


def test_a_busy_customer_is_looked_up_in_history() -> None:
    """After more than 1,000 events in 48 hours an unknown id may be a forgotten one; a remembered one is not in doubt."""
    document = make_document()
    for number in range(MAX_RECORDS + 1):
        document, _ = decide(document, given("page.viewed", id=str(number)), make_ruleset(), NOON)
    assert len(document.recent) == MAX_RECORDS * 12
    assert needs_history_lookup(document, make_event("page.viewed", id="0"))
    assert not needs_history_lookup(document, make_event("page.viewed", id="1"))
    assert not needs_history_lookup(document, make_event("page.viewed", id="0", at=NOON + 48 * HOUR))


def test_an_ordinary_customer_needs_no_lookup() -> None:
    """As long as nothing was forgotten, the document knows."""
    assert not needs_history_lookup(make_document(), make_event(id="a"))
