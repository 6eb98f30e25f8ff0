"""Reading a YAML mapping field by field: each reader returns the value, or a default after noting what is wrong."""

from collections.abc import Callable, Collection, Iterable
from datetime import time, timedelta
from typing import TypeVar

import yaml

from services.contracts.durations import parse_duration
from services.rules.loader.documents import place_of
from services.rules.loader.mistakes import Findings, Place, cure_of

T = TypeVar("T")
D = TypeVar("D")
_TEXT_TAG = "tag:yaml.org,2002:str"
_NULL_TAG = "tag:yaml.org,2002:null"


class Source:
    """One file being read, and where its mistakes go."""

    def __init__(self, file: str, findings: Findings) -> None:
        self.file = file
        self.findings = findings

    def error(self, node: yaml.Node, problem: str, cure: str) -> None:
        """Note an error at a node."""
        self.findings.error(place_of(self.file, node), problem, cure)

    def warn(self, node: yaml.Node, problem: str, cure: str) -> None:
        """Note a warning at a node."""
        self.findings.warn(place_of(self.file, node), problem, cure)

    def place(self, node: yaml.Node) -> Place:
        """Return where a node begins."""
        return place_of(self.file, node)


class Section:
    """A mapping whose keys are known. Unknown and doubled keys are noted at once; `planned` keys get a message of their own."""

    def __init__(self, source: Source, node: yaml.MappingNode, known: Collection[str], planned: Collection[str] = ()) -> None:
        self.source = source
        self.node = node
        self._values: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if self._is_allowed(key, known, planned):
                self._values[key.value] = value

    def _is_allowed(self, key: yaml.Node, known: Collection[str], planned: Collection[str]) -> bool:
        name = key.value
        if not isinstance(name, str):
            self.source.error(key, "a key must be a word", "write `key: value`")
        elif name in self._values:
            self.source.error(key, f"the key {name!r} stands here twice", "keep one of them")
        elif name in planned:
            self.source.error(key, f"{name!r} is not supported yet", "leave it out")
        elif name not in known:
            self.source.error(key, f"unknown key {name!r}", cure_of(name, known, "keys"))
        else:
            return True
        return False

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str) -> yaml.Node | None:
        """Return a key's node; None where it is missing or null."""
        node = self._values.get(key)
        return None if node is None or node.tag == _NULL_TAG else node

    def require(self, key: str, cure: str) -> yaml.Node | None:
        """Return a key's node; note its absence."""
        node = self.get(key)
        if node is None:
            self.source.error(self._values.get(key, self.node), f"{key!r} is missing", cure)
        return node

    def read(self, key: str, reader: Callable[[Source, yaml.Node], T | None], default: D) -> T | D:
        """Return what `reader` makes of the key's node; the default where it is missing or wrong."""
        node = self.get(key)
        value = None if node is None else reader(self.source, node)
        return default if value is None else value


def text(source: Source, node: yaml.Node) -> str | None:
    """Read a string; a number or a truth value must be quoted."""
    if not isinstance(node, yaml.ScalarNode):
        source.error(node, "a text is wanted here", "write one value, without brackets or indentation")
    elif node.tag != _TEXT_TAG:
        source.error(node, f"{node.value} is not a text", f'write it in quotes: "{node.value}"')
    elif not node.value.strip():
        source.error(node, "the text is empty", "write something, or leave the key out")
    else:
        return str(node.value)
    return None


def scalar(source: Source, node: yaml.Node, what: str) -> str | None:
    """Read any single value as the text that was written (durations, times, expressions)."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    source.error(node, f"{what} is wanted here", "write one value, without brackets or indentation")
    return None


def integer(low: int, high: int) -> Callable[[Source, yaml.Node], int | None]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(source: Source, node: yaml.Node) -> int | None:
        written = scalar(source, node, "a whole number")
        if written is None:
            return None
        digits = written.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 10 and low <= int(written) <= high and _is_unquoted(node):
            return int(written)
        source.error(node, f"{written!r} is no whole number from {low} to {high}", f"write a number from {low} to {high}")
        return None

    return read


def duration(source: Source, node: yaml.Node) -> timedelta | None:
    """Read a duration longer than nothing."""
    written = scalar(source, node, "a duration")
    if written is None:
        return None
    try:
        length = parse_duration(written)
    except ValueError as error:
        problem, _, cure = str(error).partition(": ")
        source.error(node, problem, cure or "write a shorter one")
        return None
    if length <= timedelta(0) or length > timedelta(days=36_500):
        source.error(node, f"{written!r} is out of range", "write a duration longer than nothing and shorter than a hundred years")
        return None
    return length


def time_of_day(source: Source, node: yaml.Node) -> time | None:
    """Read a local time such as `21:00`."""
    written = scalar(source, node, "a time of day")
    if written is None:
        return None
    hours, _, minutes = written.partition(":")
    if len(hours) == len(minutes) == 2 and (hours + minutes).isdecimal() and int(hours) < 24 and int(minutes) < 60:
        return time(int(hours), int(minutes))
    source.error(node, f"{written!r} is no time of day", 'write hours and minutes: "21:00"')
    return None


def one_of(known: Iterable[str], what: str) -> Callable[[Source, yaml.Node], str | None]:
    """Return a reader of one of several words."""
    words = frozenset(known)

    def read(source: Source, node: yaml.Node) -> str | None:
        word = scalar(source, node, f"one of the {what}")
        if word is None or word in words:
            return word
        source.error(node, f"{word!r} is none of the {what}", cure_of(word, words, what))
        return None

    return read


def list_of(reader: Callable[[Source, yaml.Node], T | None]) -> Callable[[Source, yaml.Node], tuple[T, ...] | None]:
    """Return a reader of a list whose items `reader` reads; doubled items are kept once."""

    def read(source: Source, node: yaml.Node) -> tuple[T, ...] | None:
        if not isinstance(node, yaml.SequenceNode):
            source.error(node, "a list is wanted here", "write it in brackets: [a, b]")
            return None
        found = (reader(source, item) for item in node.value)
        return tuple(dict.fromkeys(item for item in found if item is not None))

    return read


def one_or_list(reader: Callable[[Source, yaml.Node], T | None]) -> Callable[[Source, yaml.Node], tuple[T, ...] | None]:
    """Return a reader of one item, or of a list of them."""
    many = list_of(reader)

    def read(source: Source, node: yaml.Node) -> tuple[T, ...] | None:
        if isinstance(node, yaml.SequenceNode):
            return many(source, node)
        item = reader(source, node)
        return None if item is None else (item,)

    return read


def section(
    source: Source, node: yaml.Node, known: Collection[str], *, planned: Collection[str] = (), what: str = "mapping"
) -> Section | None:
    """Read a mapping with these keys."""
    if isinstance(node, yaml.MappingNode):
        return Section(source, node, known, planned)
    source.error(node, f"a {what} is wanted here", f"write a mapping with {', '.join(sorted(known))}")
    return None


def is_bare(node: yaml.Node, word: str) -> bool:
    """Say whether the node is this one word."""
    return isinstance(node, yaml.ScalarNode) and node.value == word


def _is_unquoted(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:int"
