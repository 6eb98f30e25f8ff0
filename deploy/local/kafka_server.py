"""One Kafka 4.1.0 node (KRaft) from Maven Central. Needs Java 17 and, the first time, Maven."""

import base64
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from daemons import CanNotStartError, end, pid_of, remembered_port, spawn, wait_for
from ports import free_port

_POM = Path(__file__).with_name("pom.xml")
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
"""
_METADATA_REQUEST = struct.pack(">hhih5si", 3, 0, 1, 5, b"povod", 0)
"""Metadata v0 of all topics (https://kafka.apache.org/protocol#The_Messages_Metadata): its answer lists the brokers that are up."""


class Kafka:
    """A broker whose jars, settings and data lie under `state`."""

    def __init__(self, state: Path, port: int = 0) -> None:
        self._libraries = state / "libs"
        self._folder = state / "kafka"
        self._wanted = port

    @property
    def address(self) -> str:
        """`host:port` of the broker."""
        return f"127.0.0.1:{(self._folder / 'port').read_text()}"

    def start(self) -> None:
        """Bring it up; nothing happens where it is. Raises `CanNotStartError`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self.is_running():
            _need_java()
            self._fetch()
            self._configure()
            self._java("-Xmx512m", "-XX:+UseSerialGC", "kafka.Kafka", "server.properties")
        wait_for(self.answers, 60, f"Kafka does not answer; see {self._folder / 'output.log'}")

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def is_running(self) -> bool:
        """Say whether its process lives."""
        return self._pid() is not None

    def answers(self) -> bool:
        """Say whether it serves clients."""
        port = int((self._folder / "port").read_text())
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as connection:
                connection.sendall(struct.pack(">i", len(_METADATA_REQUEST)) + _METADATA_REQUEST)
                answer = connection.recv(65536)
        except OSError:
            return False
        return len(answer) >= 12 and int(struct.unpack_from(">i", answer, 8)[0]) > 0

    def _pid(self) -> int | None:
        return pid_of(self._folder, "kafka.Kafka")

    def _end(self, how: signal.Signals) -> None:
        if (pid := self._pid()) is not None:
            end(pid, how)

    def _fetch(self) -> None:
        if any(self._libraries.glob("kafka_2.13-*.jar")):
            return
        if shutil.which("mvn") is None:
            raise CanNotStartError("Maven is missing (`mvn`): install it, or set POVOD_TEST_KAFKA to the address of a Kafka that runs")
        command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
        subprocess.run([*command, f"-DoutputDirectory={self._libraries}", "-DincludeScope=runtime"], check=True, stdout=sys.stderr)

    def _configure(self) -> None:
        data = self._folder / "data"
        port = remembered_port(self._folder / "port", self._wanted)
        controller = remembered_port(self._folder / "controller-port", 0 if (data / "meta.properties").exists() else free_port())
        (self._folder / "server.properties").write_text(_PROPERTIES.format(port=port, controller=controller, data=data))
        if not (data / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=").replace("-", "A")
            command = ["java", "-cp", f"{self._libraries}/*", "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster]
            done = subprocess.run([*command, "-c", str(self._folder / "server.properties")], capture_output=True, text=True, check=False)
            if done.returncode:
                raise CanNotStartError(f"Kafka's storage can't be formatted: {done.stderr or done.stdout}")

    def _java(self, *arguments: str) -> None:
        spawn(["java", "-cp", f"{self._libraries}/*", *arguments], self._folder)


def _need_java() -> None:
    if shutil.which("java") is None:
        raise CanNotStartError("Java 17 or newer is missing: install it, or set POVOD_TEST_KAFKA to the address of a Kafka that runs")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    if (found := re.search(r'version "(\d+)', said)) and int(found[1]) < 17:
        raise CanNotStartError(f"Kafka 4 needs Java 17 or newer, here is {found[1]}")
