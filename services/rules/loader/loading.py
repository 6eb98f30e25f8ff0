"""The loader's doors: from a folder, and from stored files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from services.contracts.errors import InvalidRuleset
from services.contracts.ids import ContentHash, TemplateName
from services.contracts.templates import TemplateCheck
from services.rules.core.indexing import build_ruleset
from services.rules.core.ruleset import Journey, Ruleset
from services.rules.loader.assembly import TEMPLATES, Parts, read_parts, stored_templates
from services.rules.loader.files import channels_of, read_rules, read_templates
from services.rules.loader.mistakes import Findings, Mistake
from services.rules.loader.templates import accept, check_syntax
from services.rules.loader.vocabulary import Vocabulary, passive_types
from services.runtime.bundles import hash_of


class LoadedRuleset(msgspec.Struct, frozen=True):
    """A rule set that can be used. `files` and `templates` are what is stored when it is made live."""

    ruleset: Ruleset
    files: Mapping[str, str]
    templates: Mapping[TemplateName, Mapping[str, str]]
    warnings: tuple[Mistake, ...] = ()


def load_directory(
    directory: Path,
    templates: Path,
    *,
    lenient_templates: bool = False,
    assume_contactable: bool = False,
    check_template: TemplateCheck = accept,
) -> LoadedRuleset:
    """Load the rule set below `directory` (only `journeys/` is required) with the templates below `templates`.

    Blocks on the disk. Raises `InvalidRuleset` with all mistakes, a line each: `file:line:column: what is wrong; the cure`. With
    `lenient_templates` a missing template is a warning. `check_template` says what of a template can't be compiled.
    """
    findings = Findings()
    read = _read(directory, templates, findings, lenient_templates=lenient_templates)
    check_syntax(read.templates, check_template, findings)
    findings.raise_errors()
    hashes = {name: hash_of(files) for name, files in read.templates.items()}
    files = {**read.rules, TEMPLATES: msgspec.json.encode(hashes, order="sorted").decode()}
    ruleset = _build(files, read.parts, hashes, assume_contactable=assume_contactable)
    return LoadedRuleset(ruleset, files, read.templates, findings.warnings)


def check_directory(directory: Path, templates: Path, check_template: TemplateCheck = accept) -> tuple[Mistake, ...]:
    """Return every mistake of the rule set below `directory`, warnings too, in the order of files and lines. Blocks on the disk."""
    findings = Findings()
    read = _read(directory, templates, findings, lenient_templates=False)
    check_syntax(read.templates, check_template, findings)
    return tuple(sorted((*findings.errors, *findings.warnings), key=lambda mistake: mistake.place))


class _Read(NamedTuple):
    rules: dict[str, str]
    templates: dict[TemplateName, dict[str, str]]
    parts: Parts


def _read(directory: Path, templates: Path, findings: Findings, *, lenient_templates: bool) -> _Read:
    rules = read_rules(directory, findings)
    texts = read_templates(templates, findings)
    vocabulary = Vocabulary(
        templates={name: channels_of(files) for name, files in texts.items()},
        lenient_templates=lenient_templates,
    )
    return _Read(rules, texts, read_parts(rules, vocabulary, findings))


def load_stored(files: Mapping[str, str], earlier: Iterable[Journey] = ()) -> Ruleset:
    """Compile a stored rule set; `earlier` are the journeys of former ones. Raises `InvalidRuleset`."""
    findings = Findings()
    hashes = _templates(files)
    parts = read_parts(files, Vocabulary(templates=dict.fromkeys(hashes, frozenset()), lenient_templates=True), findings)
    findings.raise_errors()
    return _build(files, parts, hashes, earlier=earlier)


def read_earlier(files: Mapping[str, str]) -> tuple[Journey, ...]:
    """Return the journeys of a former rule set that can still be read; the others are left out."""
    vocabulary = Vocabulary(lenient_templates=True)
    return tuple(read_parts(files, vocabulary, Findings()).journeys.values())


def _templates(files: Mapping[str, str]) -> dict[TemplateName, ContentHash]:
    try:
        return stored_templates(files)
    except msgspec.DecodeError as error:
        raise InvalidRuleset(f"{TEMPLATES} can't be read: {error}", code="invalid_ruleset") from error


def _build(
    files: Mapping[str, str],
    parts: Parts,
    hashes: Mapping[TemplateName, ContentHash],
    *,
    earlier: Iterable[Journey] = (),
    assume_contactable: bool = False,
) -> Ruleset:
    return build_ruleset(
        hash_of(files),
        parts.journeys.values(),
        earlier=earlier,
        policy=parts.policy,
        lifecycle=parts.lifecycle,
        templates=hashes,
        passive_types=passive_types(),
        assume_contactable=assume_contactable,
    )
