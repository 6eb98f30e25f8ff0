"""What a stand-in's script can ask for instead of the usual answer."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

_DROP_SECONDS = 0.05


class Fault(msgspec.Struct, frozen=True):
    """One scripted answer. `keeps`: the message is taken over all the same, so its answer is what is lost.

    `hangs` never answers, `drips` never ends its answer; `status` 0 with neither is the usual answer (a place holder in a script).
    """

    status: int = 0
    body: dict[str, object] | None = None
    headers: dict[str, str] | None = None
    keeps: bool = False
    hangs: bool = False
    drips: bool = False


class Script:
    """Faults in the order in which requests will meet them."""

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque()

    def extend(self, *faults: Fault) -> None:
        """Add faults for the next requests."""
        self._faults.extend(faults)

    def next(self) -> Fault | None:
        """Return the fault of this request, None for the usual answer."""
        fault = self._faults.popleft() if self._faults else None
        return fault if fault and (fault.status or fault.hangs or fault.drips) else None


async def perform(fault: Fault, request: Request) -> Response:
    """Answer as the script says; one that hangs ends when the client has gone."""
    if fault.hangs:
        while (await request.receive())["type"] != "http.disconnect":
            continue
    if fault.drips:
        return StreamingResponse(_drops(), fault.status or 200, headers=fault.headers)
    return JSONResponse(fault.body or {}, fault.status or 500, headers=fault.headers)


async def _drops() -> AsyncIterator[bytes]:
    """Give blanks without end, often enough that no single read is late."""
    while True:
        yield b" "
        await asyncio.sleep(_DROP_SECONDS)
