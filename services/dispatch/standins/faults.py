"""What a stand-in's script can ask for instead of the usual answer."""

from collections import deque

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Fault(msgspec.Struct, frozen=True):
    """One scripted answer. `keeps`: the message is taken over all the same, so its answer is what is lost.

    `hangs` never answers; `status` 0 with neither is the usual answer (a place holder in a script).
    """

    status: int = 0
    body: dict[str, object] | None = None
    headers: dict[str, str] | None = None
    keeps: bool = False
    hangs: bool = False


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
        return fault if fault and (fault.status or fault.hangs) else None


async def perform(fault: Fault, request: Request) -> Response:
    """Answer as the script says; one that hangs ends when the client has gone."""
    if fault.hangs:
        while (await request.receive())["type"] != "http.disconnect":
            continue
    return JSONResponse(fault.body or {}, fault.status or 500, headers=fault.headers)
