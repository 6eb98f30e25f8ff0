"""README and docs are true: their blocks work, their links lead somewhere, their tables equal the code."""

import re
import shutil
from pathlib import Path

import pytest

from services.rules.core.expressions import compile_expression
from services.rules.loader import load_directory
from services.runtime.settings import load_settings
from tests.docs.blocks import PAGES, ROOT, Block, blocks
from tests.docs.reference import PAGE, with_tables

RULES = [block for block in blocks("yaml") if block.what.startswith("rules/")]
EXPRESSIONS = [line for block in blocks("text") if block.what == "expressions" for line in block.body.splitlines()]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
PLACE = re.compile(r"`((?:services|docs|schemas|rules|templates|deploy|tests|examples|bench)/[a-z0-9_./-]*)`")
TARGET = re.compile(r"\bmake ([a-z-]+)")


@pytest.mark.parametrize("block", RULES, ids=str)
def test_rules_load(block: Block, tmp_path: Path) -> None:
    """A rule file shown in the docs loads without an error or a warning beside the example rule set."""
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    (tmp_path / block.what).write_text(block.body, encoding="utf-8")
    loaded = load_directory(tmp_path / "rules", ROOT / "templates")
    assert [str(warning) for warning in loaded.warnings] == []


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_compile(text: str) -> None:
    """An expression shown in the docs is one."""
    assert compile_expression(text).text == text


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_settings_load(block: Block, tmp_path: Path) -> None:
    """Settings shown in the docs are accepted."""
    file = tmp_path / "povod.toml"
    file.write_text(block.body, encoding="utf-8")
    assert load_settings(environ={}, file=file) != load_settings(environ={}, file=None)


def test_reference_tables_equal_the_code() -> None:
    """The tables of settings and metrics are those of the code; `python -m tests.docs.reference` renews them."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_places_exist(page: Path) -> None:
    """Every relative link and every path in backticks leads to something."""
    text = page.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    missing += [place for place in PLACE.findall(text) if not (ROOT / place).exists()]
    assert missing == []


def test_make_targets_exist() -> None:
    """Every `make` command on a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for page in PAGES for line in _code(page) for target in TARGET.findall(line)}
    assert named <= targets


def _code(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [
        *re.findall(r"`([^`\n]+)`", text),
        *(line for block in blocks("shell") if block.page == page for line in block.body.splitlines()),
    ]
