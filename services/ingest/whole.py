"""The short way: a request that came whole in one read is taken without a task, a scope or an event of its own.

Most requests are like that: one event, or a few. The long way (`services.ingest.application`) costs twice as much, and takes whatever
is unusual: a body that is still coming, a query, a path that is no door's, a pipelined request.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from types import MappingProxyType

from services.contracts.errors import LogUnavailable
from services.ingest.body import Body
from services.ingest.doors.port import Answer, Door, Posted
from services.ingest.doors.registry import DOORS
from services.ingest.intake import Intake, Taken
from services.ingest.keys import WriteKey
from services.ingest.parts import IngestParts

Headers = Sequence[tuple[bytes, bytes]]
Reply = Callable[[Answer], None]
_NO_QUERY: Mapping[str, str] = MappingProxyType({})


class WholeRequests:
    """Takes whole requests; `doors` are the targets that it knows, as they stand in the request line."""

    def __init__(self, parts: IngestParts, intake: Intake) -> None:
        self.doors: Mapping[bytes, Door] = {path.encode(): door for path, door in DOORS.items()}
        self._parts = parts
        self._intake = intake

    def take(self, target: bytes, headers: Headers, body: bytes, reply: Reply) -> None:
        """Take a request posted to one of `doors`; `reply` is called once, now or when it is stored."""
        door = self.doors[target]
        posted = Posted("POST", target.decode("ascii"), _NO_QUERY, dict(headers), body, self._parts.clock.now())
        request = _Request(self._intake, door, posted, reply, Body(self._parts.settings.max_body, self._intake.in_flight))
        request.begin()


class _Request:
    """One request between its last byte and its answer."""

    __slots__ = ("_began", "_body", "_door", "_intake", "_key", "_posted", "_reply")

    def __init__(self, intake: Intake, door: Door, posted: Posted, reply: Reply, body: Body) -> None:
        self._intake = intake
        self._door = door
        self._posted = posted
        self._reply = reply
        self._body = body
        self._began = monotonic()
        self._key: WriteKey | None = None

    def begin(self) -> None:
        """Judge and append it."""
        posted = self._posted
        try:
            self._key = key = self._intake.key_of(self._door, posted.headers, posted.query)
            content = self._body.unpack(posted.body, posted.headers)
            taken = self._intake.take(self._door, posted if content is posted.body else posted._replace(body=content), key)
            self._body.grow(taken.grown)
            storing = self._intake.store(taken)
        except Exception as error:  # noqa: BLE001 - the last resort: a mistake of ours is logged and answered, never swallowed
            self._refuse(error)
        else:
            storing.add_done_callback(partial(self._end, taken))

    def _end(self, taken: Taken, stored: "asyncio.Future[None]") -> None:
        error = LogUnavailable("the append was given up") if stored.cancelled() else stored.exception()
        if error is not None:
            self._refuse(error)
            return
        try:
            answer = self._intake.answer(self._door, taken)
        except Exception as mistake:  # noqa: BLE001 - as above
            self._refuse(mistake)
        else:
            self._answer(answer)

    def _refuse(self, error: BaseException) -> None:
        _, answer = self._intake.refusal(self._door, self._posted, self._key, error)
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        self._body.release()
        self._reply(answer)
        self._intake.note_end(answer.status, monotonic() - self._began)
