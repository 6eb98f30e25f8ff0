"""The doors as one plain ASGI application: everything between the socket and the log counts here."""

from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from urllib.parse import parse_qsl

from services.ingest.answers import Scope, Send, send_answer, send_refusal
from services.ingest.body import Body, ClientGoneError, Receive
from services.ingest.doors.port import Door, Posted
from services.ingest.intake import Intake
from services.ingest.parts import IngestParts

BODY_DEADLINE = timedelta(seconds=10)
"""Time in which a body must be whole, from its head on."""


class DoorsApplication:
    """Takes one request at a door; the way for every request. What came whole in one read has a shorter one: `services.ingest.whole`."""

    def __init__(self, parts: IngestParts, intake: Intake, body_deadline: timedelta) -> None:
        self._parts = parts
        self._intake = intake
        self._body_deadline = body_deadline

    async def take(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer whatever happens, unless the client is gone."""
        began = monotonic()
        body = Body(self._parts.settings.max_body, self._intake.in_flight)
        posted, key, status = self._head_of(scope), None, 499
        try:
            key = self._intake.key_of(door, posted.headers, posted.query)
            content = await body.read(receive, posted.headers, self._body_deadline)
            taken = self._intake.take(door, posted._replace(body=content), key)
            body.grow(taken.grown)
            await self._intake.store(taken)
            answer = self._intake.answer(door, taken)
            status = answer.status
            await send_answer(send, answer)
        except ClientGoneError:
            pass  # there is nobody to answer
        except Exception as error:  # noqa: BLE001 - the last resort: a mistake of ours is logged and answered, never swallowed
            why, answer = self._intake.refusal(door, posted, key, error)
            status = answer.status
            await send_refusal(receive, send, why, answer)
        finally:
            body.release()
            self._intake.note_end(status, monotonic() - began)

    async def tell_what_may_be_sent(self, scope: Scope, send: Send) -> None:
        """Answer an OPTIONS request at a door: a browser's preflight."""
        await send_answer(send, self._intake.preflight(dict(scope["headers"])))

    def _head_of(self, scope: Scope) -> Posted:
        return Posted(
            method=scope["method"],
            path=scope["path"],
            query=query_of(scope["query_string"]),
            headers=dict(scope["headers"]),
            body=b"",
            received_at=self._parts.clock.now(),
        )


def query_of(query: bytes) -> Mapping[str, str]:
    """Return the parameters, the first of equal names; what is no UTF-8 becomes U+FFFD."""
    if not query:
        return {}
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace", max_num_fields=None)
    return dict(reversed(pairs))
