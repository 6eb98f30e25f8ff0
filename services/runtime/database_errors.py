"""What a driver's exception means to us: try again, refuse these values, or call a person.

PostgreSQL tells by SQLSTATE (its manual's appendix A), SQLite by the name of its result code (https://www.sqlite.org/rescode.html).
What is none of the database's (a mistake in a statement's parameters) is not translated: it is a bug, and its traceback is wanted.
"""

from traceback import walk_tb

from sqlalchemy import exc

from services.contracts.errors import DatabaseRefused, DatabaseUnavailable, DatabaseUnusable, PovodError

_TRANSIENT_STATES = ("08", "25006", "25P03", "25P04", "40", "53", "55", "57", "58", "XX000")
"""Connection, read-only fail-over, idle or long transaction ended, rollback, resources, lock, operator, system."""
_UNUSABLE_STATES = ("28", "3D", "3F", "42", "0A", "F0", "XX")
"""No right to enter, no such database or schema, unknown table or column, damage."""
_TRANSIENT_NAMES = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_INTERRUPT", "SQLITE_NOMEM", "SQLITE_PROTOCOL")
_UNUSABLE_NAMES = ("SQLITE_ERROR", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")
_UNSTORABLE = (UnicodeEncodeError, OverflowError)


def translation_of(error: BaseException, *, at_the_edge: bool) -> PovodError | None:
    """Return our exception for a foreign one, None where it is none of the database's.

    `at_the_edge`: it came up while connecting or committing, where an `OSError` can only be the connection's.
    """
    if isinstance(error, exc.DBAPIError) or _state_of(error):
        return _of_driver(error)
    if isinstance(error, (exc.TimeoutError, exc.PendingRollbackError, ConnectionError)):
        return DatabaseUnavailable(f"the database could not be reached: {error}")
    if isinstance(error, OSError) and (at_the_edge or _was_raised_by_driver(error)):
        return DatabaseUnavailable(f"the database could not be reached: {str(error) or 'it did not answer in time'}")
    if isinstance(error, _UNSTORABLE):
        return DatabaseRefused(f"no database can store this: {error}", code="database_refused")
    if leaves_doubt(error):
        return DatabaseUnavailable(f"the connection was lost to its own driver: {error}")
    return None


def leaves_doubt(error: BaseException) -> bool:
    """Say whether the driver stopped in the middle (its time-out, its own fault): the connection must not be used any more.

    asyncpg then cancels the statement behind our back, and who uses the connection meanwhile meets "cannot switch to state ..., another
    operation is in progress" (`InternalClientError`, which is no error of the DBAPI).
    """
    if isinstance(error, (*_UNSTORABLE, exc.SQLAlchemyError, PovodError)) or _state_of(error):
        return False
    return _was_raised_by_driver(error)


def _of_driver(error: BaseException) -> PovodError:
    """Translate what SQLAlchemy made of a driver's exception, or asyncpg's own, which COPY raises past SQLAlchemy."""
    message, code = str(getattr(error, "orig", error)), _code_of(error)
    is_lost = getattr(error, "connection_invalidated", False)
    if is_lost or code.startswith((*_TRANSIENT_STATES, *_TRANSIENT_NAMES)):
        return DatabaseUnavailable(f"the database gave up: {message}")
    if code.startswith((*_UNUSABLE_STATES, *_UNUSABLE_NAMES)):
        return DatabaseUnusable(f"the database can't be used as it is: {message}; was `povod db upgrade` run, and may this user do that?")
    if not code and isinstance(error, (exc.OperationalError, exc.InterfaceError)):
        return DatabaseUnavailable(f"the database gave up: {message}")
    return DatabaseRefused(message, code="database_refused")


def _was_raised_by_driver(error: BaseException) -> bool:
    """Tell asyncpg's time-out of a statement from one of the block's own."""
    return any(frame.f_globals.get("__name__", "").startswith("asyncpg") for frame, _ in walk_tb(error.__traceback__))


def _code_of(error: BaseException) -> str:
    original = getattr(error, "orig", error)
    return _state_of(original) or str(getattr(original, "sqlite_errorname", None) or "")


def _state_of(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")
