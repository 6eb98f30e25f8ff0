"""`povod demo` as a user starts it: it ends well, tells the truth, and what it invites to try works."""

import re
import subprocess
import sys
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

LONGEST_SECONDS = 300

pytestmark = pytest.mark.timeout(2 * LONGEST_SECONDS)


class Run(NamedTuple):
    """What a run left behind."""

    folder: Path
    stdout: str
    stderr: str


def povod(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in another folder than the checkout's."""
    # How long it may take is said by the user's guide for a machine that does nothing else; a test must not fail on a busy one.
    command = (sys.executable, "-m", "services.cli", *arguments)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the demo once for all tests here."""
    folder = tmp_path_factory.mktemp("demo")
    done = povod(folder, "demo")
    assert done.returncode == 0, done.stderr
    return Run(folder, done.stdout, done.stderr)


def figures_of(run: Run) -> dict[str, list[int]]:
    """Return the numbers of each journey's line: enrolled, exited, email, sms, telegram."""
    rows = [line.split() for line in run.stdout.splitlines()]
    names = ("welcome", "abandoned-cart", "thanks-after-purchase", "win-back")
    return {row[0]: [int(cell.replace(",", "")) for cell in row[1:6]] for row in rows if row and row[0] in names}


def mails_of(run: Run) -> list[EmailMessage]:
    """Return the mails of the inbox."""
    files = sorted((run.folder / ".povod" / "demo" / "mails").glob("*.eml"))
    return [message_from_bytes(file.read_bytes(), _class=EmailMessage, policy=policy.default) for file in files]


def test_all_four_journeys_did_something(run: Run) -> None:
    """Each enrolled and wrote to somebody, on every channel between them."""
    figures = figures_of(run)

    assert set(figures) == {"welcome", "abandoned-cart", "thanks-after-purchase", "win-back"}
    assert all(row[0] > 0 and sum(row[2:]) > 0 for row in figures.values())
    assert all(sum(row[column] for row in figures.values()) > 0 for column in (2, 3, 4))


def test_what_was_decided_has_arrived(run: Run) -> None:
    """The stand-ins hold exactly as many messages as the table calls sent, and the inbox's folder as many mails."""
    figures = figures_of(run)
    arrived = re.search(r"Arrived: email ([\d,]+), sms ([\d,]+), telegram ([\d,]+)", run.stdout)

    assert arrived is not None
    counts = [int(count.replace(",", "")) for count in arrived.groups()]
    assert counts == [sum(row[column] for row in figures.values()) for column in (2, 3, 4)]
    assert counts[0] == len(mails_of(run))
    assert "disagree" not in run.stdout


def test_silence_has_its_reasons(run: Run) -> None:
    """Caps, consent and exits are all met in two weeks of a shop."""
    for reason in ("consent", "frequency_cap", "exited", "reentry"):
        assert re.search(rf"\b{reason} \d", run.stdout)


def test_the_mails_are_good_mails(run: Run) -> None:
    """Decoded subjects in both languages, both parts, one click to unsubscribe on everything but service mails."""
    mails = mails_of(run)
    subjects = {str(mail["Subject"]) for mail in mails}

    assert {"Рады знакомству", "Good to meet you"} <= subjects
    assert all({part.get_content_type() for part in mail.walk()} >= {"text/plain", "text/html"} for mail in mails)
    assert all(str(mail["To"]).endswith("@example.org") for mail in mails)
    marketing = [mail for mail in mails if str(mail["Subject"]) not in {"Спасибо за заказ!", "Thank you for your order"}]
    assert all(mail["List-Unsubscribe"] and mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click" for mail in marketing)
    assert all("/u/" in mail["List-Unsubscribe"] for mail in marketing)
    assert len({mail["Message-ID"] for mail in mails}) == len(mails)


def test_a_few_messages_were_shown_on_the_way(run: Run) -> None:
    """With day, channel and words."""
    shown = [line for line in run.stdout.splitlines() if re.match(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d\d \w{3} \d\d:\d\d ", line)]

    assert {line.split()[4] for line in shown} == {"email", "sms", "telegram"}


def test_the_command_to_try_works(run: Run) -> None:
    """It tells of at least one message that was delivered and of one that was not sent, with gates and reasons."""
    invited = re.search(r"^ +\S*povod (why .+)$", run.stdout, re.MULTILINE)
    assert invited is not None

    told = povod(run.folder, *invited.group(1).split())

    assert told.returncode == 0, told.stderr
    assert "SENT by " in told.stdout
    assert "NOT SENT (" in told.stdout
    assert re.search(r"message [0-9a-f-]{36}: sent, to ", told.stdout)
    assert "agreed? yes" in told.stdout


def test_a_second_run_begins_anew_and_a_foreign_folder_is_left_alone(run: Run, tmp_path: Path) -> None:
    """The demo clears only what a demo has left."""
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")

    refused = povod(run.folder, "demo", "--data", str(tmp_path))

    assert refused.returncode == 1
    assert "is not empty and no demo's" in refused.stderr
    assert (tmp_path / "precious.txt").read_text(encoding="utf-8") == "mine"


def test_nothing_is_left_running(run: Run) -> None:
    """The address in the unsubscribe links answers no more: ports are closed, the process is gone."""
    link = str(next(mail["List-Unsubscribe"] for mail in mails_of(run) if mail["List-Unsubscribe"])).strip("<>")

    with pytest.raises(httpx.ConnectError):
        httpx.get(link, timeout=5)
