"""`journeys/*.yaml`: one journey a file."""

import hashlib
import re
from datetime import timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Literal

import msgspec
import yaml

from services.contracts.ids import ContentHash, JourneyName
from services.rules.core.ruleset import EventTrigger, ExitOn, InactiveTrigger, Journey, Reentry, Step, Trigger
from services.rules.loader.conditions import condition_on
from services.rules.loader.documents import compose, plain_value
from services.rules.loader.mistakes import Findings
from services.rules.loader.sections import Section, Source, duration, integer, is_bare, list_of, one_of, one_or_list, section, text
from services.rules.loader.steps import StepReader
from services.rules.loader.vocabulary import Vocabulary, event_type, stage

KEYS = frozenset(
    {"journey", "why", "stages", "trigger", "key", "reentry", "exit_on", "priority", "max_lateness", "steps"},
)
PLANNED = frozenset({"goal", "holdout", "content_mix"})
PLANNED_TRIGGERS = frozenset({"stage", "segment", "date", "schedule"})
NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?", re.ASCII)
_SINCE: dict[str, Literal["entry", "exit", "send"]] = {"entry": "entry", "exit": "exit", "send": "send", "last_send": "send"}


def read_journey(file: str, content: str, vocabulary: Vocabulary, findings: Findings) -> Journey | None:
    """Read one journey; None after noting what makes it unusable."""
    root = compose(file, content, findings)
    if root is None:
        return None
    before = len(findings.errors)
    journey = _journey(Source(file, findings), root, vocabulary)
    return journey if len(findings.errors) == before else None


def version_of(root: yaml.MappingNode, name: str) -> ContentHash:
    """Return the version of a journey: the hash of what its file says, whatever its layout and comments, and of its name.

    A name that comes from the file's own counts as if it stood in the text: two journeys never share a version.
    """
    content = {**plain_value(root), "journey": name}
    return ContentHash(hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest())


def _journey(source: Source, root: yaml.MappingNode, vocabulary: Vocabulary) -> Journey | None:
    fields = Section(source, root, KEYS, PLANNED)
    trigger = _read_trigger(source, fields)
    listened = (trigger.event,) if isinstance(trigger, EventTrigger) else ()
    steps = _read_steps(source, fields, StepReader(source, vocabulary, listened))
    name = fields.read("journey", _name, "" if "journey" in fields else PurePosixPath(source.file).stem)
    if trigger is None or not steps:
        return None
    return Journey(
        name=JourneyName(name),
        version=version_of(root, name or ""),
        why=fields.read("why", text, ""),
        trigger=trigger,
        steps=steps,
        key=fields.read("key", condition_on(listened), None),
        reentry=fields.read("reentry", _reentry, Reentry()),
        stages=fields.read("stages", list_of(partial(stage, vocabulary=vocabulary)), ()),
        exit_on=fields.read("exit_on", one_or_list(_exit), ()),
        priority=fields.read("priority", integer(-1_000, 1_000), 0),
        max_lateness=fields.read("max_lateness", duration, timedelta(hours=24)),
    )


def _name(source: Source, node: yaml.Node) -> str | None:
    name = text(source, node)
    if name is None or NAME.fullmatch(name):
        return name
    source.error(node, f"{name!r} is no name for a journey", "use lower-case letters, digits and hyphens: abandoned-cart")
    return None


def _read_steps(source: Source, fields: Section, reader: StepReader) -> tuple[Step, ...]:
    node = fields.require("steps", "list at least one step")
    if node is None:
        return ()
    if isinstance(node, yaml.SequenceNode) and not node.value:
        source.error(node, "the journey has no steps", "list at least one step")
    return reader.sequence(node, "steps")


def _read_trigger(source: Source, fields: Section) -> Trigger | None:
    node = fields.require("trigger", "say what begins it: `trigger: {event: customer.registered}`")
    if node is None:
        return None
    parts = section(source, node, frozenset({"event", "where", "inactive", "of"}), planned=PLANNED_TRIGGERS, what="trigger")
    if parts is None:
        return None
    if ("event" in parts) == ("inactive" in parts):
        source.error(node, "a trigger is either an event or inactivity", "write {event: order.completed} or {inactive: 30d}")
        return None
    return _event_trigger(source, parts) if "event" in parts else _inactive_trigger(source, parts)


def _event_trigger(source: Source, parts: Section) -> Trigger | None:
    _refuse(source, parts, "of", "`of` belongs to {inactive: 30d, of: [...]}")
    node = parts.require("event", "name the event: {event: order.completed}")
    name = None if node is None else event_type(source, node)
    where = parts.read("where", condition_on((name or "",)), None)
    return None if name is None else EventTrigger(name, where)


def _inactive_trigger(source: Source, parts: Section) -> Trigger | None:
    _refuse(source, parts, "where", "`where` belongs to {event: ..., where: ...}")
    node = parts.require("inactive", "say how long: {inactive: 30d}")
    after = None if node is None else duration(source, node)
    of = parts.read("of", one_or_list(event_type), ())
    return None if after is None else InactiveTrigger(after, of)


def _refuse(source: Source, parts: Section, key: str, cure: str) -> None:
    if (node := parts.get(key)) is not None:
        source.error(node, f"{key!r} does not fit this trigger", cure)


def _reentry(source: Source, node: yaml.Node) -> Reentry | None:
    if is_bare(node, "never"):
        return Reentry(mode="never")
    if is_bare(node, "always"):
        return Reentry(mode="always")
    if not isinstance(node, yaml.MappingNode):
        source.error(node, "no such re-entry", "write never, always or {after: 3d, from: exit}")
        return None
    parts = Section(source, node, frozenset({"after", "from"}))
    after = parts.require("after", "say how long: {after: 3d, from: exit}")
    length = None if after is None else duration(source, after)
    since = parts.read("from", one_of(_SINCE, "moments"), "entry")
    return None if length is None else Reentry("after", length, _SINCE[since])


def _exit(source: Source, node: yaml.Node) -> ExitOn | None:
    if not isinstance(node, yaml.MappingNode):
        name = event_type(source, node)
        return None if name is None else ExitOn(name)
    parts = Section(source, node, frozenset({"event", "where"}))
    event = parts.require("event", "name the event: {event: order.completed, where: event.total > 0}")
    name = None if event is None else event_type(source, event)
    where = parts.read("where", condition_on((name or "",)), None)
    return None if name is None else ExitOn(name, where)
