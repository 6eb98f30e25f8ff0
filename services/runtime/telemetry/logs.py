"""Log lines: structlog, as JSON or for a console; each has an `action`, and none shows a secret or a customer's address.

    _log = structlog.get_logger()
    _log.info("taken by its owner", action="partition.acquired", topic=topic, partition=3)

`action` is a stable `noun.verb_in_the_past` for programs, the message a sentence for people. Lines of libraries that use the standard
`logging` come out in the same form, with the action `library.<logger>`.
"""

import logging
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from services.runtime.settings import TelemetrySettings
from services.runtime.telemetry.redaction import redacted

Line = MutableMapping[str, Any]
_QUIET = ("alembic", "httpx", "httpcore")
"""Libraries that tell at level info of every step, or of every request, addresses and all: only their warnings are written."""

_OURS = __name__.partition(".")[0]


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
    ours = logging.getLevelNamesMapping()[settings.log_level.upper()]
    root.setLevel(max(ours, logging.INFO))  # libraries' debug lines hold what passes through them: SQL with its values, whole records
    logging.getLogger(_OURS).setLevel(ours)


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
    return {key: value if key.startswith("_") else redacted(key, value) for key, value in line.items()}


def _name_library(logger: object, _method: str, line: Line) -> Line:
    line["action"] = f"library.{getattr(logger, 'name', None) or line['_record'].name}"
    return line
