"""Log lines: an action on each, no secrets, no addresses."""

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.runtime.settings import TelemetrySettings
from services.runtime.telemetry.logs import ActionMissingError, configure_logging
from services.runtime.telemetry.redaction import mask


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root, ours = logging.getLogger(), logging.getLogger("services")
    handlers, levels, configuration = root.handlers[:], (root.level, ours.level), structlog.get_config()
    yield
    structlog.configure(**configuration)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def logged(*, strict: bool = False, form: str = "json", level: str = "info") -> tuple[Any, io.StringIO]:
    """Configure logging into a buffer; return a logger and the buffer."""
    stream = io.StringIO()
    configure_logging(TelemetrySettings.model_validate({"log_format": form, "log_level": level}), stream=stream, strict=strict)
    return structlog.get_logger(), stream


def test_a_json_line_holds_action_message_level_and_time() -> None:
    """One line is one JSON object with everything that was given."""
    log, stream = logged()
    log.info("taken", action="partition.acquired", partition=3)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "taken", "action": "partition.acquired", "partition": 3, "level": "info"}


def test_a_console_line_is_for_people() -> None:
    """The console form shows message and action without JSON."""
    log, stream = logged(form="console")
    log.warning("slow", action="batch.slow")
    assert "slow" in stream.getvalue()
    assert "action=batch.slow" in stream.getvalue()


def test_a_line_without_action_is_refused_where_strict() -> None:
    """In tests a line without an action is an error."""
    log, _ = logged(strict=True)
    with pytest.raises(ActionMissingError, match="oops"):
        log.info("oops")


def test_a_line_without_action_is_flagged_in_production() -> None:
    """A running service is never broken by its log."""
    log, stream = logged()
    log.info("oops")
    assert json.loads(stream.getvalue())["action"] == "unnamed"


def test_levels_below_the_setting_are_not_written() -> None:
    """Debug lines do not appear at level info."""
    log, stream = logged()
    log.debug("noise", action="noise.made")
    assert stream.getvalue() == ""


def test_secret_looking_keys_are_hidden_at_any_depth() -> None:
    """Passwords, tokens and keys never reach the log, nor inside tables and lists."""
    log, stream = logged()
    log.info("x", action="x.y", password="s3cret", headers=[{"Authorization": "Bearer s3cret"}], api_key="s3cret")
    assert "s3cret" not in stream.getvalue()
    assert json.loads(stream.getvalue())["password"] == "***"


def test_addresses_are_masked_wherever_they_stand() -> None:
    """E-mail addresses and phone numbers are masked in values, messages, objects and exceptions."""
    log, stream = logged()
    try:
        int("no mailbox ann.lee@shop.example")
    except ValueError as error:
        log.exception("failed for ann.lee@shop.example", action="x.y", to=["+79161234567"], error=error, recipient="12345678")
    text = stream.getvalue()
    assert "ann.lee" not in text
    assert "a***@shop.example" in text
    line = json.loads(text)
    assert (line["to"], line["recipient"]) == (["+79***67"], "12***")
    assert line["error"] == "invalid literal for int() with base 10: 'no mailbox a***@shop.example'"
    assert line["exception"].endswith(line["error"])


def test_what_a_person_is_is_hidden_under_its_name() -> None:
    """Under keys that say e-mail, phone, name or signature nothing is shown, whatever form the value has."""
    log, stream = logged()
    log.info(
        "x", action="x.y", traits={"customer_email": "ann", "phone_number": 4477, "firstName": "Анна"}, signature="abcdef", sms=["ann"]
    )
    line = json.loads(stream.getvalue())
    assert line["traits"] == {"customer_email": "an***", "phone_number": "44***", "firstName": "Ан***"}
    assert (line["signature"], line["sms"]) == ("***", ["an***"])


def test_a_long_line_is_masked_in_no_time() -> None:
    """A million characters that could begin an address are read once, not a million times."""
    began = time.perf_counter()
    assert mask("a" * 1_000_000) == "a" * 1_000_000
    assert mask("a@" + "b-" * 200_000).startswith("a@b-")
    assert mask("8 916 " * 100_000).startswith("8 916")
    assert time.perf_counter() - began < 2


def test_lines_of_libraries_come_out_in_the_same_form() -> None:
    """A standard logger's line has an action too, and is masked."""
    _, stream = logged(strict=True)
    logging.getLogger("some.library").warning("mail to %s", "ann@shop.example")
    line = json.loads(stream.getvalue())
    assert (line["action"], line["event"], line["level"]) == ("library.some.library", "mail to a***@shop.example", "warning")


def test_http_clients_do_not_tell_of_every_request() -> None:
    """Their lines at level info hold addresses with tokens in them; warnings still come out."""
    _, stream = logged()
    logging.getLogger("httpx").info("HTTP Request: POST https://gateway.example?key=s3cret")
    assert stream.getvalue() == ""
    logging.getLogger("httpx").warning("slow")
    assert json.loads(stream.getvalue())["event"] == "slow"


def test_libraries_have_no_debug_lines() -> None:
    """At level debug a driver would tell of every statement with its values, documents of customers among them; our own lines come out."""
    _, stream = logged(level="debug")
    logging.getLogger("aiosqlite").debug("executing INSERT INTO customers with (%s)", '{"first_name": "Ann"}')
    assert stream.getvalue() == ""
    structlog.get_logger("services.rules").debug("looked closer", action="batch.seen")
    assert json.loads(stream.getvalue())["level"] == "debug"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://povod:pa%2Fss@host/db", "postgresql://povod:***@host/db"),
        ("POST https://api.telegram.org/bot123456:AAH-x_y/sendMessage", "POST https://api.telegram.org/bot***/sendMessage"),
        ("a@b.example", "a***@b.example"),
        ("call +4915112345678!", "call +49***78!"),
        ("call 8 (916) 123-45-67, or +7 916 123 45 67", "call 8***67, or +7***67"),
        ("+1 (201) 555-0123", "+1***23"),
        ("from 89161234567 and 79161234567.", "from 89***67 and 79***67."),
        ("key sk_AbCdEf0123456789-_xyz", "key sk_***"),
        ("authorization: Bearer abcdef0123456789", "authorization: Bearer ***"),
        ("Basic cGtfYWJjZGVmMDEyMzQ1Og==!", "Basic ***!"),
        ("task_abcdef0123456789abc of 10.89.0.1", "task_abcdef0123456789abc of 10.89.0.1"),
        ("at 2026-11-22 11:30:39.123456, 1 of 8 - 500 done", "at 2026-11-22 11:30:39.123456, 1 of 8 - 500 done"),
        (
            "offset 1234567890123 in 78 of 00000000-0000-7000-8000-000000000000",
            "offset 1234567890123 in 78 of 00000000-0000-7000-8000-000000000000",
        ),
        ("12345678901234", "12345678901234"),
        ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05+00:00"),
    ],
)
def test_masks_what_looks_like_an_address_only(text: str, expected: str) -> None:
    """Numbers that are no phones and times stay readable."""
    assert mask(text) == expected
