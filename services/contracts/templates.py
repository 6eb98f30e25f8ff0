"""What the rule loader needs to know of templates: who compiles them tells it what is wrong, since it can't render itself."""

from collections.abc import Callable, Mapping
from typing import NamedTuple


class TemplateMistake(NamedTuple):
    """A file of a template that can't be compiled. `file` is its path in the template's folder; lines count from 1."""

    file: str
    line: int
    problem: str


TemplateCheck = Callable[[Mapping[str, str]], list[TemplateMistake]]
"""Takes a template's files (shared layouts too) by path, gives one mistake for every file that can't be compiled."""
