"""The two engines under test: real Kafka with PostgreSQL and five processes, or the embedded engine in one."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import asyncpg

from deploy.local.ports import free_port
from tests.live import remove_topics

_HERE = Path(__file__).parent
SESSION_SECONDS = 6.0
"""Kafka's smallest session timeout by default (`group.min.session.timeout.ms`)."""


class Engine(NamedTuple):
    """What the harness must know of an engine."""

    environment: dict[str, str]
    commands: dict[str, tuple[str, ...]]
    base_url: str
    write_key: str


def _settings(folder: Path, smtp_port: int, http_port: int) -> dict[str, str]:
    return {
        "POVOD_DATA": str(folder / "data"),
        "POVOD_INGEST__PORT": str(http_port),
        "POVOD_INGEST__PUBLIC_URL": f"http://127.0.0.1:{http_port}",
        "POVOD_DISPATCH__SMTP__PORT": str(smtp_port),
        "POVOD_DISPATCH__SMTP__TIMEOUT": "5s",
        "POVOD_DISPATCH__RETRY_BASE": "200ms",
        "POVOD_RULES__DIRECTORY": str(_HERE / "rules"),
        "POVOD_RULES__TEMPLATES": str(_HERE / "templates"),
        "POVOD_SECURITY__LINK_SECRET": "kill-test-secret-kill-test-secret",
        "POVOD_TELEMETRY__LOG_FORMAT": "json",
    }


async def kafka_engine(folder: Path, smtp_port: int, servers: Mapping[str, str] = os.environ) -> Engine:
    """Prepare fresh topics and a fresh database on the servers that `POVOD_TEST_KAFKA` and `POVOD_TEST_DATABASE_URL` name."""
    bootstrap, server_url = servers["POVOD_TEST_KAFKA"], servers["POVOD_TEST_DATABASE_URL"]
    await remove_topics(bootstrap)
    environment = _settings(folder, smtp_port, http_port := free_port()) | {
        "POVOD_LOG__KIND": "kafka",
        "POVOD_LOG__BOOTSTRAP": bootstrap,
        "POVOD_LOG__SESSION_TIMEOUT": f"{SESSION_SECONDS:g}s",
        "POVOD_DATABASE__URL": await _fresh_database(server_url),
    }
    for command in (("db", "upgrade"), ("topics", "apply"), ("rules", "apply")):
        povod(environment, *command)
    commands: dict[str, tuple[str, ...]] = {"ingest": ("ingest",)}
    commands |= {f"{service}-{n}": (service,) for service in ("rules", "dispatch") for n in (1, 2)}
    return Engine(environment, commands, f"http://127.0.0.1:{http_port}", _write_key(environment))


async def embedded_engine(folder: Path, smtp_port: int) -> Engine:
    """Prepare a fresh data folder for `povod serve`."""
    environment = _settings(folder, smtp_port, http_port := free_port())
    povod(environment, "db", "upgrade")
    return Engine(environment, {"serve": ("serve",)}, f"http://127.0.0.1:{http_port}", _write_key(environment))


def povod(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a command to its end and return what it printed; its failure is the harness's."""
    command = (sys.executable, "-m", "services.cli", *arguments)
    return subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True).stdout


def _write_key(environment: Mapping[str, str]) -> str:
    key: str = json.loads(povod(environment, "keys", "create", "shop", "--json"))["key"]
    return key


async def _fresh_database(server_url: str) -> str:
    connection = await asyncpg.connect(server_url)
    name = f"povod_kill_{os.getpid()}"
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    head, _, tail = server_url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{tail}" if tail else "")
