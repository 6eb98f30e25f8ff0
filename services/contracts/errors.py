"""The exception tree: three verdicts, and under each the failures that can cross a border.

    PovodError
    |-- Retryable             the same call may succeed later; nothing was lost
    |   |-- LogUnavailable    the event log did not acknowledge
    |   |-- DatabaseUnavailable
    |   `-- Fenced            another owner has taken the partition; this one lets go
    |-- Rejected              the input is wrong and will stay wrong; say so to whoever sent it
    |   |-- InvalidEvent
    |   |-- InvalidCommand
    |   |-- InvalidRuleset
    |   |-- InvalidMap
    |   |-- RenderFailed
    |   |-- InvalidToken
    |   `-- DatabaseRefused   the values can not be stored
    `-- Fatal                 a person must act; the process or the partition stops
        |-- InvalidSettings
        |-- LogTruncated
        |-- DeadLetterLimitReached
        |-- DatabaseUnusable  tables or rights are missing
        `-- DocumentTooNew

Foreign exceptions (aiokafka, SQLAlchemy, httpx, aiosmtplib, Jinja2) are translated at the edge that met them and never cross it.
"""


class PovodError(Exception):
    """Root of everything that Povod raises on purpose."""


class Retryable(PovodError):  # noqa: N818 - a verdict, named as such
    """The same call may succeed later; nothing was lost and nothing was half done."""


class LogUnavailable(Retryable):
    """The event log did not acknowledge in time; the records may or may not have been stored, so the caller repeats them."""


class DatabaseUnavailable(Retryable):
    """The database could not be reached or gave up the transaction (restart, serialization failure, deadlock); it was rolled back."""


class Fenced(Retryable):
    """Another owner has taken this partition: the transaction was rolled back and the partition must be let go."""


class Rejected(PovodError):  # noqa: N818 - a verdict, named as such
    """The input is wrong and will stay wrong.

    `code` is a stable lower_snake name for programs, `message` a sentence for people, `pointer` the JSON pointer (RFC 6901) of the
    field at fault, where there is one.
    """

    def __init__(self, message: str, *, code: str = "rejected", pointer: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.pointer = pointer


class InvalidEvent(Rejected):
    """An event that can't be decoded, or does not match the schema of its type."""


class InvalidCommand(Rejected):
    """A record of the dispatch topic that is no command."""


class InvalidRuleset(Rejected):
    """A rule set that can't be used; the message lists file, line, column and cure of every mistake found."""


class InvalidMap(Rejected):
    """A map of a file's columns that can't be used, or does not fit the file."""


class RenderFailed(Rejected):
    """A template that can't be rendered with this message's context, or whose output is over the limit."""


class InvalidToken(Rejected):
    """A link token that was forged, cut short or signed with another key."""


class Fatal(PovodError):  # noqa: N818 - a verdict, named as such
    """A person must act; the process, or the partition, stops instead of going on wrongly."""


class InvalidSettings(Fatal):
    """A setting that can't be used; names its key, its value (never a secret's) and the cure."""


class LogTruncated(Fatal):
    """The log ends before our cursor, or begins after it: records are missing, and going on would hide it."""


class DeadLetterLimitReached(Fatal):
    """Too many records were dead-lettered in too short a time: the fault is not in single records."""


class DatabaseUnusable(Fatal):
    """The database was reached and is not what this release needs: tables or rights are missing, or the file is damaged."""


class DocumentTooNew(Fatal):
    """A stored document has a schema version that this release does not know; upgrade before going on."""


class DatabaseRefused(Rejected):
    """The database was reached and refused these values (a NUL, a broken constraint): a fault of the data, found by halving the batch."""
