"""Log lines: structlog, as JSON or for a console; each has an `action`, and none shows a secret or a customer's address.

    _log = structlog.get_logger()
    _log.info("taken by its owner", action="partition.acquired", topic=topic, partition=3)

`action` is a stable `noun.verb_in_the_past` for programs, the message a sentence for people. Lines of libraries that use the standard
`logging` come out in the same form, with the action `library.<logger>`.
"""

import logging
import re
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from services.runtime.settings import TelemetrySettings

Line = MutableMapping[str, Any]
_SECRET_KEY = re.compile(r"passw|secret|token|authorization|api_?key|write_?key|credential|cookie|signature|dsn", re.IGNORECASE)
_ADDRESS_KEY = re.compile(
    r"^(?:recipients?|address|mail|to|sms|chat_?id|forwarded_?for)$|e_?mail|phone|msisdn|mobile|birth_?da|first_?name|last_?name",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"(?<![\w.+%-])([\w.+%-])[\w.+%-]*+@([\w-]++(?:\.[\w-]++)+)")
"""Each run of characters is read once: a long line of them must not take the square of its length."""
_PHONE = re.compile(r"\+(\d{2})\d{5,11}(\d{2})(?!\d)")
_SPELT_PHONE = re.compile(r"(?<![\w.:+-])(\+\d{1,3}|[78])[ (-]{1,2}\d{3}\)?[ -]?\d{3}[ -]?\d{2}[ -]?(\d{2})(?!\d)")
_BARE_MOBILE = re.compile(r"(?<![\w.:+-])([78]9)\d{7}(\d{2})(?!\w|[.:-]\d)")
"""Eleven digits as Russians write their mobile numbers; a rare number of something else is masked with them."""
_KEY = re.compile(r"\b((?:Bearer|Basic) |[spa]k_)[\w+/=.~-]{16,}", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]*@")
_BOT_TOKEN = re.compile(r"/bot\d+:[\w-]+")
_DEPTH = 6
_QUIET = ("alembic", "httpx", "httpcore")
"""Libraries that tell at level info of every step, or of every request, addresses and all: only their warnings are written."""
HIDDEN = "***"


class ActionMissingError(TypeError):
    """A log line without an `action`: a mistake of the code that wrote it; raised only where logging is strict (tests)."""


def configure_logging(settings: TelemetrySettings, *, stream: TextIO, strict: bool = False) -> None:
    """Set up logging for the whole process; called once, by the composition root. `strict` refuses lines without an action."""
    shared = _processors(strict=strict)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_library, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings, stream)],
        )
    )
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())


def _processors(*, strict: bool) -> list[structlog.types.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        refuse_without_action if strict else flag_without_action,
        structlog.processors.format_exc_info,
        redact,
    ]


def _renderer(settings: TelemetrySettings, stream: TextIO) -> structlog.types.Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)


def refuse_without_action(_logger: object, _method: str, line: Line) -> Line:
    """Raise `ActionMissingError` for a line without an action."""
    if not line.get("action"):
        raise ActionMissingError(f"a log line needs action=...: {line.get('event')!r}")
    return line


def flag_without_action(_logger: object, _method: str, line: Line) -> Line:
    """Give a line without an action the action `unnamed`: a log never breaks a running service."""
    if not line.get("action"):
        line["action"] = "unnamed"
    return line


def redact(_logger: object, _method: str, line: Line) -> Line:
    """Hide values of secret-looking keys and of those that say what a person is; mask addresses, keys and passwords wherever they stand."""
    return cast("Line", _redact_mapping(line, _DEPTH))


def mask(text: str) -> str:
    """Return the text with addresses and keys in it masked: `a***@shop.example`, `+79***67`, `postgresql://user:***@host`, `sk_***`."""
    text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = _BOT_TOKEN.sub(f"/bot{HIDDEN}", text)
    text = _KEY.sub(rf"\1{HIDDEN}", text)
    text = _EMAIL.sub(rf"\1{HIDDEN}@\2", text)
    text = _PHONE.sub(rf"+\1{HIDDEN}\2", text)
    text = _SPELT_PHONE.sub(rf"\1{HIDDEN}\2", text)
    return _BARE_MOBILE.sub(rf"\1{HIDDEN}\2", text)


def _redact_mapping(values: MutableMapping[str, Any], depth: int) -> dict[str, Any]:
    return {key: value if key.startswith("_") else _redact(str(key), value, depth) for key, value in values.items()}


def _redact(key: str, value: Any, depth: int) -> Any:
    if _SECRET_KEY.search(key):
        return HIDDEN
    if _ADDRESS_KEY.search(key) and isinstance(value, (str, int)):
        masked = mask(str(value))
        return masked if masked != str(value) else str(value)[:2] + HIDDEN
    return _redact_value(key, value, depth)


def _redact_value(key: str, value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return _redact_mapping(value, depth - 1) if depth else HIDDEN
    if isinstance(value, (list, tuple, set)):
        return [_redact(key, each, depth - 1) for each in value] if depth else HIDDEN
    return value if value is None or isinstance(value, (bool, int, float)) else mask(str(value))


def _name_library(logger: object, _method: str, line: Line) -> Line:
    line["action"] = f"library.{getattr(logger, 'name', None) or line['_record'].name}"
    return line
