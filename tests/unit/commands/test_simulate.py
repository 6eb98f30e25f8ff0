"""`povod simulate` as a user calls it: what it prints, what it refuses, what it leaves beside."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.commands.invocation import Invocation
from services.commands.simulate import simulate
from services.contracts.resources import resource

RULES = Path(__file__).parents[2] / "fixtures" / "rulesets" / "abandoned"
SHOP = resource("examples") / "shop"
LINES = """\
{"type": "product.added", "customer": "ann", "time": "2024-03-01T10:00:00Z", "data": {"session_id": "s1"}}
{"type": "product.added", "customer": "bob", "time": "2024-03-02T10:00:00Z", "data": {"session_id": "s2"}}
{"type": "order.completed", "customer": "bob", "time": "2024-03-02T10:30:00Z", "data": {"session_id": "s2"}}
nonsense
"""


def call(*arguments: str | Path) -> Result:
    """Run the command as the shell would, with no settings around it."""
    return CliRunner().invoke(simulate, [str(argument) for argument in arguments], obj=Invocation({}))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Return a file of four lines: two carts, one order and one that is no event."""
    file = tmp_path / "events.ndjson"
    file.write_text(LINES, encoding="utf-8")
    return file


def test_json_is_exactly_the_documented_object() -> None:
    """Programs read these keys and no others; the figures are the clickstream's known answer."""
    result = call(SHOP / "clickstream.csv.gz", "--map", SHOP / "map.yaml", "--rules", RULES, "--assume-contactable", "--json")

    printed = json.loads(result.stdout)
    assert set(printed) == {"events", "customers", "journeys", "messages", "elapsed_s"}
    journey = printed["journeys"]["abandoned"]
    assert set(journey) == {"enrolled", "exited", "sent", "skipped", "deferred", "held_out"}
    assert (journey["enrolled"], journey["exited"], journey["sent"]) == (1_213, 363, 850)
    assert (printed["events"], printed["customers"], printed["messages"]) == (31_106, 600, {"email": 850})
    assert printed["elapsed_s"] > 0


def test_the_settings_name_the_templates(lines: Path, tmp_path: Path) -> None:
    """Without --templates and with none beside the rules, `rules.templates` of the settings counts: no warning of a missing one."""
    (tmp_path / "texts/cart-reminder/email/en").mkdir(parents=True)
    (tmp_path / "texts/cart-reminder/email/en/body.txt").write_text("Hello", encoding="utf-8")
    (tmp_path / "rules/journeys").mkdir(parents=True)
    journey = "trigger: {event: product.added}\nsteps: [{send: cart-reminder}]\n"
    (tmp_path / "rules/journeys/cart.yaml").write_text(journey, encoding="utf-8")
    settings = {"POVOD_RULES__DIRECTORY": str(tmp_path / "rules"), "POVOD_RULES__TEMPLATES": str(tmp_path / "texts")}
    result = CliRunner().invoke(simulate, [str(lines), "--json"], obj=Invocation(settings))
    assert result.exit_code == 0
    assert "cart-reminder" not in result.stderr
    assert json.loads(result.stdout)["journeys"]["cart"]["enrolled"] == 2


def test_people_get_a_table(lines: Path) -> None:
    """A line a journey, and the channels below."""
    result = call(lines, "--rules", RULES, "--assume-contactable")

    assert result.exit_code == 0
    assert "3 events of 2 customers" in result.stdout
    assert ["abandoned", "2", "1", "1", "0", "exited", "1"] in [line.split() for line in result.stdout.splitlines()]
    assert "Messages: email 1" in result.stdout


def test_bad_lines_and_missing_templates_are_told_beside(lines: Path, tmp_path: Path) -> None:
    """Both go to the error stream, so that --json stays one object."""
    result = call(lines, "--rules", RULES, "--templates", tmp_path, "--assume-contactable", "--json")

    assert "left out: events.ndjson:4:" in result.stderr
    assert "warning: journeys/abandoned.yaml:9:11: there is no template 'cart-reminder'" in result.stderr
    assert json.loads(result.stdout)["events"] == 3


def test_from_and_to_choose_the_period(lines: Path) -> None:
    """`--from` is inside, `--to` outside, a date is midnight UTC; timers run on beyond."""
    first = json.loads(call(lines, "--rules", RULES, "--assume-contactable", "--json", "--to", "2024-03-02").stdout)
    second = json.loads(call(lines, "--rules", RULES, "--assume-contactable", "--json", "--from", "2024-03-02T10:00:00Z").stdout)

    assert (first["events"], first["journeys"]["abandoned"]["sent"]) == (1, 1)
    assert (second["events"], second["journeys"]["abandoned"]["exited"]) == (2, 1)


def test_decisions_are_written_by_time(lines: Path, tmp_path: Path) -> None:
    """A JSON object a line, complete enough to be read against the ledger."""
    file = tmp_path / "decisions.ndjson"

    call(lines, lines, "--rules", RULES, "--decisions", file)

    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(row["customer"], row["at"], row["verdict"], row["reason"]) for row in rows] == [
        ("ann", "2024-03-01T11:00:00Z", "skipped", "consent"),
        ("bob", "2024-03-02T10:30:00Z", "skipped", "exited"),
    ]
    assert {"journey", "key", "step", "ruleset", "input_id", "detail"} <= set(rows[0])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("none.ndjson",), "'none.ndjson' does not exist"),
        ((str(SHOP / "clickstream.csv.gz"),), "needs a map"),
        ((str(SHOP / "clickstream.csv.gz"), "--from", "yesterday"), "'yesterday' is no time"),
    ],
)
def test_wrong_calls_are_told_what_is_wrong(arguments: tuple[str, ...], complaint: str) -> None:
    """With the cure, and without a result."""
    result = call(*arguments, "--rules", RULES)

    assert result.exit_code != 0
    assert complaint in result.stderr + str(result.exception)
