"""`povod check`, `povod rules apply` and `povod rules history`, as a marketer types them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cli import povod
from services.commands.invocation import Invocation
from tests.rules_desk import lay_out


def call(folder: Path, *arguments: str) -> Result:
    """Call `povod` with its data in the folder."""
    return CliRunner().invoke(povod, ["--data", str(folder / "data"), *arguments], obj=Invocation({}), catch_exceptions=False)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Return a rule set's folder; its templates lie beside it."""
    return lay_out(tmp_path)[0]


def test_check_finds_nothing_in_what_is_right(tmp_path: Path, rules: Path) -> None:
    """A right rule set ends in one line and exit code 0."""
    result = call(tmp_path, "check", str(rules))
    assert (result.exit_code, result.output) == (0, f"{rules}: no mistakes\n")


def test_check_names_file_line_column_and_cure(tmp_path: Path, rules: Path) -> None:
    """A mistake is printed with its place and its cure, and the exit code is 1."""
    (rules / "policy.yaml").write_text("min_gap: 4h\ntimezone: Moscow\n", encoding="utf-8")
    result = call(tmp_path, "check", str(rules))
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == "policy.yaml:2:11: 'Moscow' is no time zone; did you mean 'Europe/Moscow'?"


def test_check_compiles_templates(tmp_path: Path, rules: Path) -> None:
    """A template that can't be compiled is named with file and line, a shared layout once."""
    files = {"note/email/en/body.txt": "Hello\n{% if %} {{ broken", "_layouts/frame.html": "{% block %}", "other/sms/en/text.txt": "Hi"}
    for name, content in files.items():
        file = rules.parent / "templates" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    result = call(tmp_path, "check", str(rules))
    assert result.exit_code == 1
    layout, body, verdict = result.output.splitlines()
    assert layout.startswith("_layouts/frame.html:1:1: the template can't be compiled: ")
    assert body.startswith("note/email/en/body.txt:2:1: the template can't be compiled: ")
    assert body.endswith("; correct the template's syntax (Jinja)")
    assert verdict == f"{rules}: 2 mistakes"


def test_check_speaks_json(tmp_path: Path, rules: Path) -> None:
    """With --json the mistakes are an object for programs."""
    (rules / "policy.yaml").write_text("timezone: Moscow\n", encoding="utf-8")
    printed = json.loads(call(tmp_path, "check", str(rules), "--json").output)
    assert printed["errors"] == 1
    assert printed["mistakes"][0] == {
        "file": "policy.yaml",
        "line": 1,
        "column": 11,
        "problem": "'Moscow' is no time zone",
        "cure": "did you mean 'Europe/Moscow'?",
        "severity": "error",
    }


def test_apply_makes_a_rule_set_active_and_history_tells_who(tmp_path: Path, rules: Path) -> None:
    """What was applied stands in the history, the newest first."""
    assert call(tmp_path, "db", "upgrade").exit_code == 0
    first = json.loads(call(tmp_path, "rules", "apply", str(rules), "--by", "ann", "--json").stdout.splitlines()[-1])["ruleset"]
    (rules / "policy.yaml").write_text("min_gap: 1h\n", encoding="utf-8")
    second = json.loads(call(tmp_path, "rules", "apply", str(rules), "--by", "bob", "--json").stdout.splitlines()[-1])["ruleset"]
    told = json.loads(call(tmp_path, "rules", "history", "--json").stdout)
    assert [(row["activation"], row["ruleset"], row["by"]) for row in told] == [(2, second, "bob"), (1, first, "ann")]


def test_apply_refuses_a_broken_rule_set(tmp_path: Path, rules: Path) -> None:
    """Mistakes end in exit code 1 and change nothing."""
    (rules / "policy.yaml").write_text("min_gap: soon\n", encoding="utf-8")
    assert call(tmp_path, "db", "upgrade").exit_code == 0
    result = call(tmp_path, "rules", "apply", str(rules))
    assert result.exit_code == 1
    assert "policy.yaml:1:10: 'soon' is no duration" in result.output
    assert json.loads(call(tmp_path, "rules", "history", "--json").stdout) == []


def test_apply_refuses_a_broken_template(tmp_path: Path, rules: Path) -> None:
    """A template that can't be compiled leaves the former rule set live."""
    assert call(tmp_path, "db", "upgrade").exit_code == 0
    assert call(tmp_path, "rules", "apply", str(rules)).exit_code == 0
    (rules.parent / "templates/note/email/en/body.txt").write_text("{% if %} {{ broken", encoding="utf-8")
    result = call(tmp_path, "rules", "apply", str(rules))
    assert result.exit_code == 1
    assert "note/email/en/body.txt:1:1: the template can't be compiled" in result.output
    assert len(json.loads(call(tmp_path, "rules", "history", "--json").stdout)) == 1
