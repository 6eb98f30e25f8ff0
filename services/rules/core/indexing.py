"""From journeys, policy and lifecycle to a `Ruleset` with its indexes: the cost of an event follows what matches, not what is loaded."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from hashlib import blake2b
from operator import itemgetter
from typing import TypeVar

from services.contracts.ids import ContentHash, JourneyName, StepId, TemplateName
from services.rules.core.ruleset import (
    ANY_ACTIVITY,
    EventTrigger,
    IfStep,
    InactiveTrigger,
    Instruction,
    Journey,
    Lifecycle,
    Policy,
    Program,
    Ruleset,
    Silence,
    Step,
)

_Listener = TypeVar("_Listener")
_END = StepId("")
_LEAST_MEMORY = timedelta(days=30)


def build_ruleset(  # noqa: PLR0913 - one argument a file of the rule set
    digest: ContentHash,
    journeys: Iterable[Journey],
    *,
    earlier: Iterable[Journey] = (),
    policy: Policy | None = None,
    lifecycle: Lifecycle | None = None,
    templates: Mapping[TemplateName, ContentHash] | None = None,
    passive_types: Iterable[str] = (),
    assume_contactable: bool = False,
) -> Ruleset:
    """Return the rule set named `digest`; `earlier` are journeys of former rule sets, for the enrolments that began with them.

    Step ids must be unique within a journey and names among `journeys`; raises `ValueError` where they are not.
    """
    current = sorted(journeys, key=lambda journey: journey.name)
    versions = {journey.version: journey for journey in (*earlier, *current)}
    policy = policy or Policy()
    lifecycle = lifecycle or Lifecycle()
    silences = _silences(current)
    return Ruleset(
        hash=digest,
        journeys=_by_name(current),
        versions=versions,
        by_event=_index((journey.trigger.event, journey) for journey in current if isinstance(journey.trigger, EventTrigger)),
        exits_by_event=_index((exit_on.event, journey) for journey in current for exit_on in journey.exit_on),
        silences=silences,
        silences_by_event=_index((name, silence) for silence in silences for name in silence.of or (ANY_ACTIVITY,)),
        silence_rules=_digest_of(silences),
        policy=policy,
        lifecycle=lifecycle,
        templates=templates or {},
        passive_types=frozenset(passive_types),
        assume_contactable=assume_contactable,
        programs={version: flatten(journey) for version, journey in versions.items()},
        moves_by_event=_index((event, move) for move in lifecycle.transitions for event in move.on),
        silent_moves=tuple(move for move in lifecycle.transitions if move.inactive is not None),
        exit_types=frozenset(exit_on.event for journey in versions.values() for exit_on in journey.exit_on),
        slot_memory=max((_LEAST_MEMORY, policy.min_gap or _LEAST_MEMORY, *(_reach(cap.per, cap.calendar_unit) for cap in policy.caps))),
    )


def _reach(per: timedelta, unit: str) -> timedelta:
    """Return how far back a cap may look, with a day for zones: calendar windows are at most as long as their unit's longest."""
    longest = {"week": timedelta(days=7), "month": timedelta(days=31)}.get(unit, per)
    return max(per, longest) + timedelta(days=1)


def _silences(journeys: Iterable[Journey]) -> tuple[Silence, ...]:
    grouped: dict[tuple[str, ...], list[tuple[timedelta, JourneyName, Journey]]] = {}
    for journey in journeys:
        if isinstance(journey.trigger, InactiveTrigger):
            of = tuple(sorted(set(journey.trigger.of)))
            grouped.setdefault(of, []).append((journey.trigger.after, journey.name, journey))
    return tuple(_silence(of, sorted(found, key=itemgetter(0, 1))) for of, found in sorted(grouped.items()))


def _silence(of: tuple[str, ...], waiting: Iterable[tuple[timedelta, JourneyName, Journey]]) -> Silence:
    afters, _, journeys = zip(*waiting, strict=True)
    return Silence(of, afters, journeys)


def _digest_of(silences: Iterable[Silence]) -> str:
    """Return eight characters that differ where other journeys wait for silence, or wait longer; none where there are none."""
    waits = [
        (silence.of, [(name.name, after.total_seconds()) for name, after in zip(silence.journeys, silence.afters, strict=True)])
        for silence in silences
    ]
    return blake2b(repr(waits).encode(), digest_size=4).hexdigest() if waits else ""


def _by_name(journeys: Iterable[Journey]) -> dict[JourneyName, Journey]:
    named: dict[JourneyName, Journey] = {}
    for journey in journeys:
        if journey.name in named:
            raise ValueError(f"two journeys are called {journey.name!r}")
        named[journey.name] = journey
    return named


def _index(pairs: Iterable[tuple[str, _Listener]]) -> dict[str, tuple[_Listener, ...]]:
    index: dict[str, tuple[_Listener, ...]] = {}
    for event, listener in pairs:
        if listener not in index.get(event, ()):
            index[event] = (*index.get(event, ()), listener)
    return index


def flatten(journey: Journey) -> Program:
    """Return the journey's steps by id with the way from each to the next; raises `ValueError` on an id used twice."""
    instructions: dict[StepId, Instruction] = {}
    first = _lay(journey.steps, _END, instructions)
    return Program(first=first, instructions=instructions)


def _lay(steps: tuple[Step, ...], after: StepId, instructions: dict[StepId, Instruction]) -> StepId:
    """Lay out steps from the last to the first, so that each knows what follows; return the first one's id."""
    for step in reversed(steps):
        if step.id in instructions or not step.id:
            raise ValueError(f"the step id {step.id!r} is empty or used twice")
        if isinstance(step, IfStep):
            then, otherwise = _lay(step.then, after, instructions), _lay(step.otherwise, after, instructions)
            instructions[step.id] = Instruction(step, next=then, otherwise=otherwise)
        else:
            instructions[step.id] = Instruction(step, next=after)
        after = step.id
    return after
