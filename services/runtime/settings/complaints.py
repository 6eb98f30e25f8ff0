"""Sentences for settings that can't be used: the key in both spellings, the value unless it may be a secret, the cure."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, cast

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from services.runtime.settings.tree import Settings

_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):.*@", re.DOTALL)
_OURS = "Value error, "


def complaint_of(mistake: ErrorDetails) -> str:
    """Return the sentence for one of pydantic's findings."""
    path = tuple(str(part) for part in mistake["loc"])
    field = _field_at(path)
    message = mistake["msg"].removeprefix(_OURS)
    if field is None or _may_hide_secrets(field.annotation):
        return f"{spell(path)}: {_without_values(mistake)} (the value is not shown){_purpose(field)}"
    return f"{spell(path)}: {_shown(repr(mistake['input']))} can't be used: {_shown(message)}{_purpose(field)}"


def unknown_key(path: Sequence[str]) -> str | None:
    """Return a sentence where the file's key at `path` is no setting, else None."""
    known = _keys_below(path[:-1])
    if known is None or path[-1] in known:
        return None
    return f"{spell(path)}: there is no such setting; {_suggest(path[-1], known)}"


def unknown_variable(name: str, prefix: str) -> str | None:
    """Return a sentence where the variable is no setting, else None."""
    path = name[len(prefix) :].lower().split("__")
    for depth, part in enumerate(path):
        known = _keys_below(path[:depth])
        if known is None:
            return None
        if part not in known:
            guess = get_close_matches("__".join(path), list(_leaves(Settings)), n=1, cutoff=0.8)
            cure = f"did you mean {prefix}{guess[0].upper()}?" if guess else _list(known)
            return f"{name}: there is no such setting; {cure}"
    return None


def spell(path: Sequence[str]) -> str:
    """Return a key as the file and as the environment spell it."""
    *sections, key = path
    in_file = f"[{'.'.join(sections)}] {key}" if sections else key
    return f"{in_file} (POVOD_{'__'.join(path).upper()})"


def _keys_below(path: Sequence[str]) -> list[str] | None:
    """Return the settings below a section, or None where anything may stand there (a table of free names)."""
    annotation: Any = Settings
    for part in path:
        fields = _fields_of(annotation)
        if fields is None or part not in fields:
            return None
        annotation = fields[part].annotation
    fields = _fields_of(annotation)
    if fields is not None:
        return list(fields)
    return None if getattr(annotation, "__origin__", None) is dict else []


def _leaves(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if _fields_of(field.annotation):
            yield from _leaves(cast("type[BaseModel]", field.annotation), (*path, name))
        else:
            yield "__".join((*path, name))


def _field_at(path: Sequence[str]) -> FieldInfo | None:
    annotation: Any = Settings
    field = None
    for part in path:
        fields = _fields_of(annotation)
        if fields is None:
            break
        field = fields.get(part)
        annotation = field.annotation if field else None
    return field


def _fields_of(annotation: Any) -> dict[str, FieldInfo] | None:
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation.model_fields if is_section else None


def _may_hide_secrets(annotation: Any) -> bool:
    if fields := _fields_of(annotation):
        return any(_may_hide_secrets(field.annotation) for field in fields.values())
    return annotation is SecretStr or any(_may_hide_secrets(inner) for inner in getattr(annotation, "__args__", ()))


def _shown(text: str) -> str:
    return _URL_PASSWORD.sub(r"\1:***@", text)[:200]


def _without_values(mistake: ErrorDetails) -> str:
    return "can't be used" if mistake["type"] == "value_error" else mistake["msg"]


def _purpose(field: FieldInfo | None) -> str:
    return f" ({field.description})" if field and field.description else ""


def _suggest(name: str, known: Sequence[str]) -> str:
    guess = get_close_matches(name, known, n=1)
    return f"did you mean {guess[0]!r}?" if guess else _list(known)


def _list(known: Sequence[str]) -> str:
    return f"there are: {', '.join(known)}" if known else "nothing stands below it"
