"""Start a real Kafka and a real PostgreSQL for development and CI, below `deploy/local/.state/` (git-ignored).

    eval "$(python deploy/local/services.py start)"

`start` prints the `export` lines that tests and benchmarks read; what happens is told on stderr. Every command may be repeated.
Standard library only. `--state DIR` keeps another, independent pair.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from daemons import CanNotStartError
from kafka_server import Kafka
from postgres_server import Postgres

_STATE = Path(__file__).resolve().parent / ".state"


def start(kafka: Kafka, postgres: Postgres) -> None:
    """Start both, wait until they answer, print their addresses as `export` lines."""
    postgres.start()
    kafka.start()
    print(f"export POVOD_TEST_KAFKA={kafka.address} POVOD_TEST_DATABASE_URL={postgres.url}")


def stop(kafka: Kafka, postgres: Postgres) -> None:
    """Stop both in order; their data stays."""
    kafka.stop()
    postgres.stop()


def status(kafka: Kafka, postgres: Postgres) -> None:
    """Say what runs; exit 1 unless both do."""
    up = {"kafka": kafka.is_running() and kafka.answers(), "postgres": postgres.is_running()}
    addresses = {"kafka": lambda: kafka.address, "postgres": lambda: postgres.url}
    for name, is_up in up.items():
        print(f"{name}: {addresses[name]() if is_up else 'down'}")
    if not all(up.values()):
        sys.exit(1)


def kill_kafka(kafka: Kafka, _postgres: Postgres) -> None:
    """SIGKILL to Kafka."""
    kafka.kill()


def restart_kafka(kafka: Kafka, _postgres: Postgres) -> None:
    """Stop Kafka if it runs, start it on the same data and port, wait until it answers."""
    kafka.stop()
    kafka.start()


def kill_postgres(_kafka: Kafka, postgres: Postgres) -> None:
    """Stop PostgreSQL at once, without a checkpoint."""
    postgres.kill()


def restart_postgres(_kafka: Kafka, postgres: Postgres) -> None:
    """Stop PostgreSQL if it runs, start it on the same data and port."""
    postgres.stop()
    postgres.start()


COMMANDS: dict[str, Callable[[Kafka, Postgres], None]] = {
    "start": start,
    "stop": stop,
    "status": status,
    "kill-kafka": kill_kafka,
    "restart-kafka": restart_kafka,
    "kill-postgres": kill_postgres,
    "restart-postgres": restart_postgres,
}


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS, help="; ".join(f"{name}: {work.__doc__}" for name, work in COMMANDS.items()))
    parser.add_argument("--state", type=Path, default=_STATE, help="where everything lies")
    parser.add_argument("--kafka-port", type=int, default=0, help="0: a free one, then always the same")
    parser.add_argument("--postgres-port", type=int, default=0, help="0: a free one, then always the same")
    chosen = parser.parse_args()
    state = chosen.state.resolve()
    try:
        COMMANDS[chosen.command](Kafka(state, chosen.kafka_port), Postgres(state, chosen.postgres_port))
    except (CanNotStartError, subprocess.CalledProcessError) as error:
        sys.exit(f"services: {error}")


if __name__ == "__main__":
    main()
