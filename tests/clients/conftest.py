"""The campaign is played once, for all tests of this folder."""

import asyncio
import os
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from tests.clients import campaign as playing
from tests.clients import installing
from tests.clients.campaign import Findings
from tests.clients.catalogue import CLIENTS, Client
from tests.clients.installing import missing
from tests.lacking import go_without


@pytest.fixture(scope="package")
def findings(kafka_bootstrap: str, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Return what came of everything that the clients of this machine did."""
    servers = {"POVOD_TEST_KAFKA": kafka_bootstrap, "POVOD_TEST_DATABASE_URL": postgres_server}
    wanted = os.environ.get("POVOD_TEST_CLIENTS_ONLY", "").split()
    here = tuple(client for client in CLIENTS if missing(client.home) is None and (not wanted or client.name in wanted))
    folder: Path = tmp_path_factory.mktemp("clients")
    _install()
    return asyncio.run(playing.run(here, servers, folder))


def _install() -> None:
    """Install all clients; a laptop without network goes without them, CI does not."""
    try:
        installing.install_all()
    except (CalledProcessError, OSError) as error:
        go_without(f"the clients can't be installed: {error}")


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> Client:
    """Return each client in turn; skip those that this machine can't run, fail in CI."""
    found: Client = request.param
    if why := missing(found.home):
        go_without(why)
    return found
