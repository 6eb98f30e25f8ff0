"""What is fuzzed: each target takes bytes and may refuse them in its own words, never fall over."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from services.consent.claims import ClickClaim
from services.consent.tokens import TokenSigner
from services.contracts.catalogue import load_catalogue
from services.contracts.codec import decode_command, decode_event
from services.contracts.errors import InvalidCommand, InvalidEvent, InvalidMap, InvalidToken
from services.contracts.ids import Channel, CustomerId, MessageId
from services.contracts.mapping import parse_map
from services.contracts.normalise import Reception
from services.contracts.resources import resource
from services.contracts.trace import parse_traceparent
from services.ingest.application import query_of
from services.ingest.body import inflate
from services.ingest.credentials import secret_of
from services.ingest.doors.port import Door, Posted
from services.ingest.doors.registry import DOORS, PREFIXES, door_at
from services.ingest.judge import Judge
from services.ingest.refusals import RequestRefused

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "tests" / "fixtures" / "doors"
Target = Callable[[bytes], None]
_RECEIVED = datetime(2026, 11, 22, 12, tzinfo=UTC)
_judge = Judge(load_catalogue(), 65_536)
_signer = TokenSigner(["a secret that is long enough for fuzzing"])


class Reader(NamedTuple):
    """A function that reads bytes of strangers, and the errors by which it may refuse them."""

    function: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]

    def target(self) -> Target:
        """Return a target that lets these errors pass, and no others."""

        def target(content: bytes) -> None:
            try:
                self.function(content)
            except self.refusals:
                return

        return target


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
    return Reader(lambda content: handle(door, request_of(content, door, method, path)), (InvalidEvent, RequestRefused)).target()


def doors() -> Mapping[str, tuple[Door, str, str]]:
    """Return every door by name, with a method and a path that lead to it."""
    exact = {door.name: (door, "POST", path) for path, door in DOORS.items() if not path.endswith("/")}
    return exact | {door.name: (door, "GET", prefix) for prefix, door in PREFIXES if door.name not in exact}


def requests() -> Iterator[bytes]:
    """Yield requests as `request_of` reads them: what real clients sent, and what was written by hand for the others' doors."""
    for file in sorted(EXAMPLES.iterdir()):
        content = file.read_bytes()
        if file.suffix != ".jsonl":
            yield content
            continue
        for each in map(json.loads, content.splitlines()):
            fields = "".join(f"{name}: {value}\n" for name, value in each.get("headers", {}).items())
            yield f"{each.get('method', 'POST')} {each['path']}\n{fields}\n{each['body']}".encode()


def examples() -> Mapping[str, Sequence[bytes]]:
    """Return what fuzzing each target begins with."""
    stored = {name: json.loads((resource("schemas") / "examples" / f"{name}.json").read_bytes()) for name in ("event", "message", "recall")}
    accepted = {name: [json.dumps(value).encode() for value in found["accepted"]] for name, found in stored.items()}
    click = ClickClaim(CustomerId("ann"), Channel("email"), MessageId("m1"), 1, "https://shop.example/tea", _RECEIVED)
    return {
        **dict.fromkeys(doors(), tuple(requests())),
        "gzip": [gzip.compress(each) for each in (b"{}", b"\0" * 2_000_000)],
        "topic-event": accepted["event"],
        "topic-command": accepted["message"] + accepted["recall"],
        "credentials": [b"Bearer sk_1", b"Basic c2tfMTo="],
        "token": [_signer.sign(click).encode()],
        "import-map": [(ROOT / "examples" / "shop" / "map.yaml").read_bytes()],
        "traceparent": [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    }


READERS: Mapping[str, Reader] = {
    "gzip": Reader(lambda content: inflate(content, 4_194_304), (RequestRefused,)),
    "topic-event": Reader(decode_event, (InvalidEvent,)),
    "topic-command": Reader(decode_command, (InvalidCommand,)),
    "credentials": Reader(secret_of, (RequestRefused,)),
    "token": Reader(lambda content: _signer.read(content.decode("latin-1"), ClickClaim), (InvalidToken,)),
    "import-map": Reader(lambda content: parse_map(content.decode("latin-1")), (InvalidMap,)),
    "traceparent": Reader(lambda content: parse_traceparent(content.decode("latin-1")), ()),
}
"""What reads strangers' bytes and is no door."""
TARGETS: Mapping[str, Target] = {name: door_target(*door) for name, door in doors().items()} | {
    name: reader.target() for name, reader in READERS.items()
}
"""By name; every door is one."""
