"""The servers that everything runs on: a real Kafka and PostgreSQL, with fresh topics and a fresh database for each figure."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg

from bench.figures import CannotMeasureError
from bench.kafka_topics import remove_topics
from bench.processes import call_povod
from deploy.local.ports import free_port

EVENTS = "povod.events"
BASELINE_TOPIC = "bench.baseline"
SECRET = "bench-secret-bench-secret-bench-se"
_ROOT = Path(__file__).resolve().parents[1]


class Stack(NamedTuple):
    """Where everything is: `environment` are the settings that `povod` commands get."""

    kafka: str
    database_url: str
    folder: Path
    environment: dict[str, str]
    port: int
    key: str

    @property
    def base_url(self) -> str:
        """Return where `povod ingest` listens."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def stack(rules: Path | None = None, templates: Path | None = None, **settings: str) -> Iterator[Stack]:
    """Prepare topics, database, rule set and write key; remove the topics and the database afterwards.

    `settings` are further settings of the `povod` commands, as variables without their prefix.
    """
    kafka, server = _named("POVOD_TEST_KAFKA"), _named("POVOD_TEST_DATABASE_URL")
    folder, port = Path(tempfile.mkdtemp(prefix="povod-bench-")), free_port()
    database = f"povod_bench_{os.getpid()}_{port}"
    url = _sibling(server, database)
    environment = {
        "POVOD_DATA": str(folder / "data"),
        "POVOD_LOG__KIND": "kafka",
        "POVOD_LOG__BOOTSTRAP": kafka,
        "POVOD_DATABASE__URL": url,
        "POVOD_INGEST__PORT": str(port),
        "POVOD_INGEST__PUBLIC_URL": f"http://127.0.0.1:{port}",
        "POVOD_RULES__DIRECTORY": str(rules or _ROOT / "rules"),
        "POVOD_RULES__TEMPLATES": str(templates or _ROOT / "templates"),
        "POVOD_SECURITY__LINK_SECRET": SECRET,
        "POVOD_TELEMETRY__LOG_LEVEL": "warning",
        **{f"POVOD_{name}": value for name, value in settings.items()},
    }
    try:
        asyncio.run(_fresh(kafka, server, database))
        key = _set_up(environment)
        yield Stack(kafka, url, folder, environment, port, key)
    finally:
        asyncio.run(_remove(kafka, server, database))
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def second_database(servers: Stack) -> Iterator[str]:
    """Give the address of another migrated database on the same server; it is dropped afterwards."""
    name = f"povod_bench_{os.getpid()}_baseline"
    url = _sibling(servers.database_url, name)
    asyncio.run(_statement(servers.database_url, f'CREATE DATABASE "{name}"'))
    try:
        call_povod({**servers.environment, "POVOD_DATABASE__URL": url}, "db", "upgrade")
        yield url
    finally:
        asyncio.run(_statement(servers.database_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


def _named(variable: str) -> str:
    try:
        return os.environ[variable]
    except KeyError:
        raise CannotMeasureError(f"{variable} is not set: run `make bench`, which starts the servers") from None


def _sibling(server: str, database: str) -> str:
    head, _, options = server.partition("?")
    return f"{head.rpartition('/')[0]}/{database}" + (f"?{options}" if options else "")


def _set_up(environment: Mapping[str, str]) -> str:
    for command in (("db", "upgrade"), ("topics", "apply"), ("rules", "apply")):
        call_povod(environment, *command)
    key: str = json.loads(call_povod(environment, "keys", "create", "bench", "--json"))["key"]
    return key


async def _fresh(kafka: str, server: str, database: str) -> None:
    await remove_topics(kafka)
    await _statement(server, f'CREATE DATABASE "{database}"')


async def _remove(kafka: str, server: str, database: str) -> None:
    await remove_topics(kafka)
    await _statement(server, f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


async def _statement(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
