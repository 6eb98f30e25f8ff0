"""YAML as a tree that knows where each node stands: safe, bounded, without aliases or doubled keys.

The tree is PyYAML's own (`compose`), so every message can point at file, line and column. Scalars keep their text: `21:00` and `on`
mean what was written, not what YAML 1.1 makes of them.
"""

from typing import Any

import yaml

from services.rules.loader.mistakes import Findings, Place

MAX_BYTES = 1_048_576
"""The largest file that is read."""
MAX_DEPTH = 40
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(file: str, text: str, findings: Findings) -> yaml.MappingNode | None:
    """Return the file's mapping, or None after noting what is wrong with it."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        findings.error(Place(file), f"the file is larger than {MAX_BYTES} bytes", "split it")
        return None
    try:
        if not _is_plain(file, text, findings):
            return None
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        findings.error(_place_of_error(file, error), f"no YAML: {_words_of(error)}", "correct the indentation, quotes or brackets here")
        return None
    if not isinstance(root, yaml.MappingNode):
        findings.error(Place(file), "the file is not a mapping of keys to values", "write `key: value` lines")
        return None
    return root


def place_of(file: str, node: yaml.Node) -> Place:
    """Return where a node begins."""
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)


def plain_value(node: yaml.Node) -> Any:
    """Return the node as plain Python values with the text of its scalars: the canonical form that versions are hashed from."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: plain_value(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain_value(item) for item in node.value]
    return node.value


def _is_plain(file: str, text: str, findings: Findings) -> bool:
    """Say whether the text has no aliases and bounded depth, before a tree is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            findings.error(_place_of_mark(file, event.start_mark), "anchors and aliases are not allowed", "write the value out")
            return False
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            findings.error(_place_of_mark(file, event.start_mark), f"nested deeper than {MAX_DEPTH} levels", "make it flatter")
            return False
    return True


def _place_of_mark(file: str, mark: Any) -> Place:
    return Place(file, mark.line + 1, mark.column + 1)


def _place_of_error(file: str, error: yaml.YAMLError) -> Place:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return Place(file) if mark is None else _place_of_mark(file, mark)


def _words_of(error: yaml.YAMLError) -> str:
    words = (getattr(error, "context", None), getattr(error, "problem", None))
    return ", ".join(word for word in words if word) or str(error).splitlines()[0]
