"""`/livez`, `/readyz` and `/metrics`, for orchestrators and Prometheus."""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from services.runtime.health import HealthState
from services.runtime.telemetry.metrics import CONTENT_TYPE, Metrics


class Alive(BaseModel):
    """The process answers."""

    alive: Literal[True] = True


class Ready(BaseModel):
    """Whether requests may be sent here, and what each check said: `ok`, `failing`, `silent` or what it waits for."""

    ready: bool
    checks: dict[str, str]
    draining: bool


def router_of(state: HealthState, metrics: Metrics, before_scrape: Callable[[], None]) -> APIRouter:
    """Return the routes; `before_scrape` is called before the counts are read."""
    router = APIRouter(tags=["operations"])

    @router.head("/livez", include_in_schema=False)  # balancers and monitors ask so (RFC 9110, 9.1)
    @router.get("/livez")
    async def livez() -> Alive:
        """Say that the process is alive."""
        return Alive()

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", response_model=Ready, responses={503: {"model": Ready, "description": "send requests elsewhere"}})
    async def readyz() -> Response:
        """Say whether requests may be sent here."""
        found = await state.readiness()
        ready = Ready(ready=found.is_ready, checks=dict(found.checks), draining=found.draining)
        return JSONResponse(ready.model_dump(), 200 if found.is_ready else 503)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def scrape() -> Response:
        """Return the counts of this process for Prometheus."""
        before_scrape()
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    return router
