"""`policy.yaml`: time zone, quiet hours, caps, minimum gap, consent, language."""

import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

import yaml

from services.contracts.ids import Channel
from services.rules.core.ruleset import ConsentMode, Policy, QuietHours
from services.rules.loader.caps import read_cap
from services.rules.loader.documents import compose
from services.rules.loader.mistakes import Findings, suggestion
from services.rules.loader.sections import Section, Source, duration, list_of, one_of, one_or_list, section, text, time_of_day
from services.rules.loader.vocabulary import CHANNELS, Vocabulary, channel, kind

KEYS = frozenset({"timezone", "quiet_hours", "caps", "min_gap", "consent", "consent_categories", "language"})
PLANNED = frozenset({"content_mix", "holdout", "attribution_window", "holidays"})
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*", re.ASCII)
T = TypeVar("T")


def read_policy(file: str, content: str, vocabulary: Vocabulary, findings: Findings) -> Policy:
    """Read the policy; the default after noting that the file can't be used."""
    root = compose(file, content, findings)
    if root is None:
        return Policy()
    source = Source(file, findings)
    fields = Section(source, root, KEYS, PLANNED)
    return Policy(
        default_timezone=fields.read("timezone", _with_default(_timezone), "UTC"),
        quiet_hours=fields.read("quiet_hours", one_or_list(_quiet_hours), ()),
        caps=fields.read("caps", list_of(partial(read_cap, vocabulary=vocabulary)), ()),
        min_gap=fields.read("min_gap", duration, None),
        consent=fields.read("consent", _consent, {}),
        consent_categories=fields.read("consent_categories", _consent_categories, {}),
        default_language=fields.read("language", _with_default(_language), "en"),
    )


def _with_default(reader: Callable[[Source, yaml.Node], T | None]) -> Callable[[Source, yaml.Node], T | None]:
    """Return a reader of a value that may also stand under `default:`."""

    def read(source: Source, node: yaml.Node) -> T | None:
        if not isinstance(node, yaml.MappingNode):
            return reader(source, node)
        value = Section(source, node, frozenset({"default"})).require("default", "write {default: ...}")
        return None if value is None else reader(source, value)

    return read


def _timezone(source: Source, node: yaml.Node) -> str | None:
    name = text(source, node)
    if name is None:
        return None
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # what zoneinfo raises for names, paths and folders that are no zone
        source.error(node, f"{name!r} is no time zone", _zone_cure(name))
        return None
    return name


def _zone_cure(name: str) -> str:
    known = available_timezones()
    by_city = {zone.rpartition("/")[2].lower(): zone for zone in sorted(known)}
    near = by_city.get(name.lower()) or suggestion(name, known)
    return f"did you mean {near!r}?" if near else "use a name of the IANA database: Europe/Moscow"


def _language(source: Source, node: yaml.Node) -> str | None:
    name = text(source, node)
    if name is None or _LANGUAGE.fullmatch(name):
        return name
    source.error(node, f"{name!r} is no language tag", "write it as in BCP 47: ru, en, pt-BR")
    return None


def _quiet_hours(source: Source, node: yaml.Node) -> QuietHours | None:
    parts = section(source, node, frozenset({"from", "to", "channels", "exempt"}), what="quiet hours mapping")
    if parts is None:
        return None
    start = parts.require("from", 'write {from: "21:00", to: "09:00"}')
    end = parts.require("to", 'write {from: "21:00", to: "09:00"}')
    begins = None if start is None else time_of_day(source, start)
    ends = None if end is None else time_of_day(source, end)
    channels = parts.read("channels", one_or_list(channel), ())
    exempt = parts.read("exempt", one_or_list(kind), ())
    return None if begins is None or ends is None else QuietHours(begins, ends, channels, exempt)


def _consent(source: Source, node: yaml.Node) -> dict[Channel, ConsentMode] | None:
    parts = section(source, node, CHANNELS, what="mapping of channels")
    if parts is None:
        return None
    modes = {name: parts.read(name, one_of(ConsentMode, "consent modes"), "") for name in CHANNELS}
    return {Channel(name): ConsentMode(mode) for name, mode in modes.items() if mode}


def _consent_categories(source: Source, node: yaml.Node) -> dict[str, tuple[Channel, ...]] | None:
    """Read which channels each category of a consent manager stands for; their names are the consent manager's."""
    if not isinstance(node, yaml.MappingNode):
        source.error(node, "a mapping of categories is wanted here", "write a mapping: {Advertising: [email, sms]}")
        return None
    names = [key.value for key, _ in node.value if isinstance(key.value, str)]
    parts = Section(source, node, frozenset(names))
    return {name: parts.read(name, one_or_list(channel), ()) for name in names}
