"""What holds for every decision, whatever happens."""

from datetime import datetime

from hypothesis import given, settings

from services.rules.core.decide import decide
from services.rules.core.document import CustomerDocument, decode_document, encode_document, next_due_at
from services.rules.core.effects import Outcome
from services.rules.core.inputs import EventInput, Input, TimerInput
from services.rules.core.quiet_hours import is_quiet
from services.rules.core.zones import find_zone, zone_of
from tests.builders import DAY, make_document
from tests.property.core_worlds import FULL, HAPPENINGS, NIGHT, Happening, live, told
from tests.story import Story


class Watchful(Story):
    """A story that checks every single decision as it is taken."""

    def give(self, given: Input, now: datetime) -> Outcome:
        """Decide, and compare with what must hold."""
        before, stored = self.document, encode_document(self.document)
        reloaded = decode_document(stored)
        outcome = super().give(given, now)
        assert encode_document(before) == stored, "the argument was changed"
        assert reloaded == before, "the stored form is not the document"
        again, repeated = decide(reloaded, given, self.ruleset, now)
        assert (encode_document(again), repeated) == (encode_document(self.document), outcome), "not deterministic"
        assert self.document.seq == before.seq + 1
        self._check_timers(given)
        self._check_duplicate(given, now)
        return outcome

    def _check_timers(self, given: Input) -> None:
        due = next_due_at(self.document)
        if isinstance(given, TimerInput) and due is not None:
            assert due > given.due_at, "a timer that fires again at the same moment"

    def _check_duplicate(self, given: Input, now: datetime) -> None:
        if isinstance(given, EventInput):
            same, outcome = decide(self.document, given, self.ruleset, now + DAY)
            assert same is self.document
            assert (outcome.duplicate, outcome.effects) == (True, ())


@given(HAPPENINGS)
@settings(max_examples=60, deadline=None)
def test_every_decision_is_pure(happenings: list[Happening]) -> None:
    """Deterministic, also over the stored form; the argument stays as it was; a duplicate changes nothing; no timer fires twice."""
    live(Watchful(FULL, make_document()), happenings)


@given(HAPPENINGS)
@settings(max_examples=60, deadline=None)
def test_every_enrolment_ends_and_is_accounted_for(happenings: list[Happening]) -> None:
    """When time has passed, nothing is open, and each deferral was followed by its answer."""
    story = told(FULL, happenings)
    assert not [enrolment for enrolment in story.document.enrolments.values() if enrolment.step or enrolment.deferred]
    assert len(story.exited) <= len(story.enrolled)
    open_candidates: set[tuple[str, str, str]] = set()
    for decision in story.decisions:
        candidate = (decision.journey, decision.key, decision.step)
        if decision.verdict == "deferred":
            open_candidates.add(candidate)
        elif decision.step:
            open_candidates.discard(candidate)
    assert open_candidates == set()


@given(HAPPENINGS)
@settings(max_examples=60, deadline=None)
def test_no_message_lies_in_quiet_hours(happenings: list[Happening]) -> None:
    """Neither its decision nor any moment of its windows, in the zone that the customer had then."""
    story = _Zoned(FULL, make_document())
    live(story, happenings)
    for message, zone in zip(story.messages, story.zones, strict=True):
        assert message.windows
        assert message.windows[0].starts_at == message.decided_at == message.not_before
        assert message.windows[-1].ends_at <= message.expires_at
        ends = [moment for window in message.windows for moment in (window.starts_at, window.ends_at)]
        assert ends == sorted(set(ends))
        if message.kind not in NIGHT.exempt_kinds:
            found = find_zone(zone)
            assert found is not None
            for window in message.windows:
                middle = window.starts_at + (window.ends_at - window.starts_at) / 2
                assert not any(is_quiet((NIGHT,), moment, found) for moment in (window.starts_at, middle))


class _Zoned(Story):
    """A story that notes the customer's zone at every message."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.zones: list[str] = []

    def give(self, given: Input, now: datetime) -> Outcome:
        outcome = super().give(given, now)
        zone = zone_of(self.document, self.ruleset.policy)[0]
        self.zones += [zone] * (len(self.messages) - len(self.zones))
        return outcome


@given(HAPPENINGS, HAPPENINGS)
@settings(max_examples=25, deadline=None)
def test_customers_do_not_influence_each_other(first: list[Happening], second: list[Happening]) -> None:
    """The same decisions whether another customer's life is decided before, after or not at all."""
    alone = told(FULL, first)
    told(FULL, second)
    assert _tale(told(FULL, first)) == _tale(alone)


def _tale(story: Story) -> tuple[CustomerDocument, list[object]]:
    return story.document, [*story.decisions, *story.messages, *story.recalls]


@given(HAPPENINGS)
@settings(max_examples=25, deadline=None)
def test_message_ids_are_unique(happenings: list[Happening]) -> None:
    """No two decisions name the same message: dispatch would take the second for a repeat."""
    names = [message.message_id for message in told(FULL, happenings).messages]
    assert len(names) == len(set(names))
