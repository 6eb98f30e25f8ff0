"""A rule set as the core uses it: journeys, policy and lifecycle, compiled and indexed. Made by `services.rules.loader`, never changed.

Names here are those of the YAML. Durations are `timedelta`, times of day are naive `time` in the customer's zone.
"""

from collections.abc import Mapping
from datetime import time, timedelta
from enum import StrEnum
from typing import Literal

import msgspec

from services.contracts.ids import Channel, ContentHash, JourneyName, StepId, TemplateName
from services.contracts.messages import Kind
from services.rules.core.expressions import Expression


class EventTrigger(msgspec.Struct, frozen=True):
    """Enrol on an event of this type for which `where` holds."""

    event: str
    where: Expression | None = None


class InactiveTrigger(msgspec.Struct, frozen=True):
    """Enrol after `after` without activity: of all activity, or of the named event types. The customer must have been active once."""

    after: timedelta
    of: tuple[str, ...] = ()


Trigger = EventTrigger | InactiveTrigger


class ExitOn(msgspec.Struct, frozen=True):
    """End all enrolments of the journey, whatever their key, on this event (narrowed by `where`)."""

    event: str
    where: Expression | None = None


class Reentry(msgspec.Struct, frozen=True):
    """When the same key may enrol again: `never`, `always`, or `after` a time counted from entry, exit or the last send."""

    mode: Literal["never", "always", "after"] = "always"
    after: timedelta = timedelta(0)
    since: Literal["entry", "exit", "send"] = "entry"


class WaitStep(msgspec.Struct, frozen=True):
    """Wait; counted from the logical time of the input that reached the step."""

    id: StepId
    duration: timedelta


class SendStep(msgspec.Struct, frozen=True):
    """Send one message over the first channel that is reachable and allowed; on a failed delivery, over the next.

    `valid_for` bounds how long after the step's logical time it may still be handed over (`expires_at`).
    """

    id: StepId
    template: TemplateName
    kind: Kind
    channels: tuple[Channel, ...]
    tags: tuple[str, ...] = ()
    valid_for: timedelta = timedelta(hours=24)


class IfStep(msgspec.Struct, frozen=True):
    """Go on with `then` or `otherwise`, then with what follows."""

    id: StepId
    condition: Expression
    then: "tuple[Step, ...]"
    otherwise: "tuple[Step, ...]" = ()


class ExitStep(msgspec.Struct, frozen=True):
    """Leave the journey."""

    id: StepId


Step = WaitStep | SendStep | IfStep | ExitStep


class Journey(msgspec.Struct, frozen=True):
    """One journey. `version` is the hash of its canonical YAML: enrolments finish on the version with which they began.

    `stages` empty: open to every stage. `key` empty: one enrolment per customer. `steps` is the nested tree.
    """

    name: JourneyName
    version: ContentHash
    why: str
    trigger: Trigger
    steps: tuple[Step, ...]
    key: Expression | None = None
    reentry: Reentry = Reentry()
    stages: tuple[str, ...] = ()
    exit_on: tuple[ExitOn, ...] = ()
    priority: int = 0
    max_lateness: timedelta = timedelta(hours=24)


class CapScope(msgspec.Struct, frozen=True):
    """What a cap counts: everything, or one channel, kind, tag or journey."""

    of: Literal["all", "channel", "kind", "tag", "journey"]
    name: str = ""


class Cap(msgspec.Struct, frozen=True):
    """At most `max` messages `per` window.

    `rolling`: in any stretch of `per`. `calendar`: windows begin at local midnight of the customer's zone: `per` in whole days where
    the unit is `day` (or empty), else weeks from Monday or months.
    """

    name: str
    max: int
    per: timedelta
    window: Literal["rolling", "calendar"]
    scope: CapScope
    stages: tuple[str, ...] = ()
    calendar_unit: Literal["day", "week", "month", ""] = ""


class QuietHours(msgspec.Struct, frozen=True):
    """No sends from `start` to `end`, local time; over midnight where start > end; equal means none. `exempt_kinds` may go all the same."""

    start: time
    end: time
    channels: tuple[Channel, ...] = ()
    exempt_kinds: tuple[Kind, ...] = ()


class ConsentMode(StrEnum):
    """What a channel needs before a marketing message."""

    OPT_IN = "opt_in"
    """The customer has subscribed."""
    OPT_OUT = "opt_out"
    """The customer has not unsubscribed."""


class Policy(msgspec.Struct, frozen=True):
    """What holds for every send. The defaults are those of a rule set without `policy.yaml`."""

    default_timezone: str = "UTC"
    quiet_hours: tuple[QuietHours, ...] = ()
    caps: tuple[Cap, ...] = ()
    min_gap: timedelta | None = None
    consent: Mapping[Channel, ConsentMode] = {}
    consent_categories: Mapping[str, tuple[Channel, ...]] = {}
    """The channels that a consent manager's category stands for: its no is a no to them."""
    default_language: str = "en"


class Transition(msgspec.Struct, frozen=True):
    """Move from one of `sources` (empty: any, also none) to `target` on an event, or after `inactive` without activity."""

    sources: tuple[str, ...]
    target: str
    on: tuple[str, ...] = ()
    inactive: timedelta | None = None


class Lifecycle(msgspec.Struct, frozen=True):
    """The stage machine. `initial` is the stage of a customer at first contact; no `stages`: no machine, and no gate."""

    stages: tuple[str, ...] = ()
    initial: str = ""
    transitions: tuple[Transition, ...] = ()


class Instruction(msgspec.Struct, frozen=True):
    """A step and where the flow goes from it: to `next` (empty: the end), for an `if` that does not hold to `otherwise`."""

    step: Step
    next: StepId
    otherwise: StepId = StepId("")


class Program(msgspec.Struct, frozen=True):
    """A journey's steps by id, flattened, and the one that is first."""

    first: StepId
    instructions: Mapping[StepId, Instruction]


ANY_ACTIVITY = ""
"""The key of `Ruleset.silences_by_event` for silences of all activity."""


class Silence(msgspec.Struct, frozen=True):
    """The journeys that wait for the same events to stop (`of` empty: all activity), shortest wait first.

    `afters` holds their waits, in the same order.
    """

    of: tuple[str, ...]
    afters: tuple[timedelta, ...]
    journeys: tuple[Journey, ...]


class Ruleset(msgspec.Struct, frozen=True):
    """Everything loaded together. Build it with `services.rules.core.indexing.build_ruleset`, which makes the indexes.

    `hash` names it. `versions` holds also the journeys of earlier rule sets, by version, for enrolments that began with them.
    `templates` maps a template's name to its content hash and languages. `passive_types` are event types that do not count as
    activity. `assume_contactable` treats a missing address or consent as given (`povod simulate --assume-contactable`).
    `silences` are the journeys triggered by inactivity, `silences_by_event` those that listen to a type (or to `ANY_ACTIVITY`), and
    `silence_rules` tells one set of them from another. `programs` holds the flattened steps of every journey in `versions`,
    `slot_memory` how long caps and gap look back; `moves_by_event` and `silent_moves` are the lifecycle's transitions by what causes
    them, `exit_types` every event type that is an exit of a journey in `versions`.
    """

    hash: ContentHash
    journeys: Mapping[JourneyName, Journey]
    versions: Mapping[ContentHash, Journey]
    by_event: Mapping[str, tuple[Journey, ...]]
    exits_by_event: Mapping[str, tuple[Journey, ...]]
    silences: tuple[Silence, ...] = ()
    silences_by_event: Mapping[str, tuple[Silence, ...]] = {}
    silence_rules: str = ""
    policy: Policy = Policy()
    lifecycle: Lifecycle = Lifecycle()
    templates: Mapping[TemplateName, ContentHash] = {}
    passive_types: frozenset[str] = frozenset()
    assume_contactable: bool = False
    programs: Mapping[ContentHash, Program] = {}
    moves_by_event: Mapping[str, tuple[Transition, ...]] = {}
    silent_moves: tuple[Transition, ...] = ()
    slot_memory: timedelta = timedelta(days=30)
    exit_types: frozenset[str] = frozenset()
