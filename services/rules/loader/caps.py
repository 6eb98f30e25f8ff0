"""Frequency caps of `policy.yaml`: `{max: 5, per: 30d, window: rolling, scope: all}`."""

import re
from datetime import timedelta
from functools import partial
from typing import Literal, NamedTuple

import yaml

from services.contracts.durations import format_duration
from services.rules.core.ruleset import Cap, CapScope
from services.rules.loader.sections import Section, Source, duration, integer, is_bare, list_of, one_of, scalar, section, text
from services.rules.loader.vocabulary import Vocabulary, channel, kind, stage

KEYS = frozenset({"name", "max", "per", "window", "scope", "stages"})
SCOPES: tuple[Literal["channel", "kind", "tag", "journey"], ...] = ("channel", "kind", "tag", "journey")
Unit = Literal["day", "week", "month", ""]
UNITS: dict[str, tuple[Unit, timedelta]] = {
    "day": ("day", timedelta(days=1)),
    "week": ("week", timedelta(days=7)),
    "1w": ("week", timedelta(days=7)),
    "month": ("month", timedelta(days=31)),
}
"""What a calendar window may be besides whole days (`3d`): its unit and the longest it can last. Weeks begin on Monday."""
_DAYS = re.compile(r"[1-9][0-9]{0,2}d", re.ASCII)
_WINDOW_CURE = "write window: rolling (the last days, to the second) or window: calendar (since local midnight); there is no default"


class _Window(NamedTuple):
    window: Literal["rolling", "calendar"]
    per: timedelta
    unit: Unit


def read_cap(source: Source, node: yaml.Node, vocabulary: Vocabulary) -> Cap | None:
    """Read one cap; None after noting what is wrong with it."""
    parts = section(source, node, KEYS, what="cap")
    if parts is None:
        return None
    most = parts.require("max", "say how many: max: 5")
    count = None if most is None else integer(1, 1_000_000)(source, most)
    window = _window(source, parts)
    listed = parts.require("scope", "say what it counts: scope: all, or scope: {channel: sms}")
    scope = None if listed is None else _scope(source, listed)
    stages = parts.read("stages", list_of(partial(stage, vocabulary=vocabulary)), ())
    if count is None or window is None or scope is None:
        return None
    name = parts.read("name", text, _name(count, window, scope))
    return Cap(name, count, window.per, window.window, scope, stages, window.unit)


def _window(source: Source, parts: Section) -> _Window | None:
    written = parts.require("window", _WINDOW_CURE)
    per = parts.require("per", "say how long: per: 30d")
    if written is None or per is None:
        return None
    match one_of(("rolling", "calendar"), "windows")(source, written):
        case "rolling":
            length = duration(source, per)
            return None if length is None else _Window("rolling", length, "")
        case "calendar":
            return _calendar(source, per)
    return None


def _calendar(source: Source, per: yaml.Node) -> _Window | None:
    written = scalar(source, per, "a day, a week or a month")
    if written is None:
        return None
    if _DAYS.fullmatch(written):
        return _Window("calendar", timedelta(days=int(written[:-1])), "day")
    if written not in UNITS:
        source.error(per, f"a calendar window can't last {written!r}", "write per: 1d, per: 1w or per: month; or window: rolling")
        return None
    unit, length = UNITS[written]
    return _Window("calendar", length, unit)


def _scope(source: Source, node: yaml.Node) -> CapScope | None:
    if is_bare(node, "all"):
        return CapScope("all")
    if not isinstance(node, yaml.MappingNode) or len(node.value) != 1:
        source.error(node, "no such scope", "write all, or one of {channel: sms}, {kind: incentive}, {tag: promo}, {journey: welcome}")
        return None
    parts = Section(source, node, SCOPES)
    return next((_counted(source, of, value) for of in SCOPES if (value := parts.get(of)) is not None), None)


def _counted(source: Source, of: Literal["channel", "kind", "tag", "journey"], node: yaml.Node) -> CapScope | None:
    readers = {"channel": channel, "kind": kind, "tag": text, "journey": text}
    name = readers[of](source, node)
    return None if name is None else CapScope(of, str(name))


def _name(count: int, window: _Window, scope: CapScope) -> str:
    length = f"calendar {window.unit}" if window.unit in ("week", "month") else f"{window.window} {format_duration(window.per)}"
    counted = "all" if scope.of == "all" else f"{scope.of} {scope.name}"
    return f"{count} per {length}, {counted}"
