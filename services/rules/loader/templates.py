"""A rule set's templates must compile before it goes live: a broken one would fail at every message, long after the edit."""

from collections.abc import Mapping

from services.contracts.ids import TemplateName
from services.contracts.templates import TemplateCheck, TemplateMistake
from services.rules.loader.files import LAYOUTS
from services.rules.loader.mistakes import Findings, Place

_CURE = "correct the template's syntax (Jinja)"


def accept(_files: Mapping[str, str]) -> list[TemplateMistake]:
    """Find nothing wrong: where templates are not rendered, nobody need compile them."""
    return []


def check_syntax(templates: Mapping[TemplateName, Mapping[str, str]], check: TemplateCheck, findings: Findings) -> None:
    """Note every file that can't be compiled, by its path in the templates folder; a shared layout once."""
    for name, files in templates.items():
        for file, line, problem in check(files):
            path = file if file.startswith(f"{LAYOUTS}/") else f"{name}/{file}"
            findings.error(Place(path, line), f"the template can't be compiled: {problem}", _CURE)
