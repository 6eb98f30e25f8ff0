"""All routes of this folder, put together."""

from collections.abc import Sequence

from fastapi import APIRouter

from services.ingest.admission import InFlight
from services.ingest.pages.loading import load_pages
from services.ingest.parts import IngestParts
from services.ingest.peers import networks_of
from services.ingest.returning import clicks, confirmations, opens, preferences, surveys, unsubscribe
from services.ingest.returning.parts import ReturningParts
from services.ingest.returning.reporting import Reporter


def routers_of(parts: IngestParts, in_flight: InFlight) -> Sequence[APIRouter]:
    """Return the routers; `in_flight` counts the bytes of all requests that are not answered yet.

    Raises `InvalidSettings` where the theme of the pages can't be used.
    """
    shared = ReturningParts(
        ingest=parts,
        pages=load_pages(parts.settings.pages_directory),
        reporter=Reporter(parts),
        in_flight=in_flight,
        trusted=networks_of(parts.settings.trusted_proxies),
    )
    return [each.router_of(shared) for each in (unsubscribe, clicks, opens, preferences, surveys, confirmations)]
