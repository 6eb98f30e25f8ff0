"""What is fuzzed: each target takes bytes and may refuse them in its own words, never fall over."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from services.consent.claims import ClickClaim
from services.consent.tokens import TokenSigner
from services.contracts.catalogue import load_catalogue
from services.contracts.codec import decode_command, decode_event
from services.contracts.errors import InvalidCommand, InvalidEvent, InvalidMap, InvalidToken
from services.contracts.mapping import parse_map
from services.contracts.normalise import Reception
from services.contracts.trace import parse_traceparent
from services.ingest.application import query_of
from services.ingest.body import inflate
from services.ingest.credentials import secret_of
from services.ingest.doors.port import Door, Posted
from services.ingest.doors.registry import DOORS, PREFIXES, door_at
from services.ingest.judge import Judge
from services.ingest.refusals import RequestRefused

EXAMPLES = Path(__file__).resolve().parents[1] / "fixtures" / "doors"
"""What fuzzing begins with, and where its words are from."""
Target = Callable[[bytes], None]
_RECEIVED = datetime(2026, 11, 22, 12, tzinfo=UTC)
_judge = Judge(load_catalogue(), 65_536)
_signer = TokenSigner(["a secret that is long enough for fuzzing"])


def handle(door: Door, posted: Posted) -> int:
    """Read a request at a door, judge what it holds and word the answer; return how many records it led to.

    Raises `InvalidEvent` and `RequestRefused`, as a door may.
    """
    items = door.read(posted).items
    judged = _judge.judge(items[:2_500], Reception("fuzz", trusted=True, received_at=_RECEIVED, new_id=lambda: "made"))
    records = [*judged.records, *judged.merges]
    for record in records:
        decode_event(record.value)
    door.accept(posted, judged)
    return len(records)


def request_of(content: bytes, door: Door, method: str, path: str) -> Posted:
    """Read bytes as a request: a line `METHOD PATH?QUERY`, a line a field, an empty line, the body; without an empty line all is body.

    Where the first line is none that leads to the door, method and path are those given.
    """
    head, found, body = content.partition(b"\n\n")
    if not found:
        return Posted(method, path, {}, {}, content, _RECEIVED)
    line, *lines = head.split(b"\n")
    verb, _, target = line.decode("latin-1").partition(" ")
    asked, _, query = target.partition("?")
    if door_at(verb, unquote(asked)) is door:
        method, path = verb, unquote(asked)
    fields = {name.strip().lower(): value.strip() for name, _, value in (each.partition(b":") for each in lines)}
    return Posted(method, path, query_of(query.encode("latin-1")), fields, body, _RECEIVED)


def door_target(door: Door, method: str, path: str) -> Target:
    """Return a target that reads bytes as a request at a door."""
    return _tolerating(lambda content: handle(door, request_of(content, door, method, path)), InvalidEvent, RequestRefused)


def _tolerating(function: Callable[[bytes], object], *refusals: type[Exception]) -> Target:
    def target(content: bytes) -> None:
        try:
            function(content)
        except refusals:
            return

    return target


def doors() -> Mapping[str, tuple[Door, str, str]]:
    """Return every door by name, with a method and a path that lead to it."""
    exact = {door.name: (door, "POST", path) for path, door in DOORS.items() if not path.endswith("/")}
    return exact | {door.name: (door, "GET", prefix) for prefix, door in PREFIXES if door.name not in exact}


def examples() -> Iterator[bytes]:
    """Yield requests as `request_of` reads them: what real clients sent, and what was written by hand for the others' doors."""
    for file in sorted(EXAMPLES.iterdir()):
        content = file.read_bytes()
        if file.suffix != ".jsonl":
            yield content
            continue
        for each in map(json.loads, content.splitlines()):
            fields = "".join(f"{name}: {value}\n" for name, value in each.get("headers", {}).items())
            yield f"{each.get('method', 'POST')} {each['path']}\n{fields}\n{each['body']}".encode()


TARGETS: Mapping[str, Target] = {
    **{name: door_target(*door) for name, door in doors().items()},
    "gzip": _tolerating(lambda content: inflate(content, 1_048_576), RequestRefused),
    "topic-event": _tolerating(decode_event, InvalidEvent),
    "topic-command": _tolerating(decode_command, InvalidCommand),
    "credentials": _tolerating(secret_of, RequestRefused),
    "token": _tolerating(lambda content: _signer.read(content.decode("latin-1"), ClickClaim), InvalidToken),
    "import-map": _tolerating(lambda content: parse_map(content.decode("latin-1")), InvalidMap),
    "traceparent": _tolerating(lambda content: parse_traceparent(content.decode("latin-1"))),
}
"""By name; every door is one."""
