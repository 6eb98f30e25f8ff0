"""What is fuzzed: each target takes bytes and may refuse them in its own words, never fall over."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from services.consent.claims import ClickClaim
from services.consent.tokens import TokenSigner
from services.contracts.catalogue import load_catalogue
from services.contracts.codec import decode_command, decode_event
from services.contracts.errors import InvalidCommand, InvalidEvent, InvalidMap, InvalidToken
from services.contracts.mapping import parse_map
from services.contracts.normalise import Reception
from services.contracts.trace import parse_traceparent
from services.ingest.body import inflate
from services.ingest.credentials import secret_of
from services.ingest.doors.port import Door, Posted
from services.ingest.doors.registry import DOORS, PREFIXES
from services.ingest.judge import Judge
from services.ingest.refusals import RequestRefused

Target = Callable[[bytes], None]
_RECEIVED = datetime(2026, 11, 22, 12, tzinfo=UTC)
_judge = Judge(load_catalogue(), 65_536)
_signer = TokenSigner(["a secret that is long enough for fuzzing"])


def door_target(door: Door, method: str, path: str) -> Target:
    """Return a target that reads bytes as a request's body at a door, judges what it holds and words the answer."""

    def target(content: bytes) -> None:
        headers, query, body = _split(content)
        posted = Posted(method, path, query, headers, body, _RECEIVED)
        try:
            items = door.read(posted).items
        except (InvalidEvent, RequestRefused):
            return
        judged = _judge.judge(items[:2_500], Reception("fuzz", trusted=True, received_at=_RECEIVED, new_id=lambda: "made"))
        for record in (*judged.records, *judged.merges):
            decode_event(record.value)
        door.accept(posted, judged)

    return target


def _split(content: bytes) -> tuple[dict[bytes, bytes], dict[str, str], bytes]:
    """Cut bytes into headers, a query and a body: lines `name: value` up to an empty one, where there is one within the first 512."""
    head, found, body = content[:512].partition(b"\n\n")
    if not found:
        return {}, {}, content
    fields = [line.partition(b":") for line in head.split(b"\n")]
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    query = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
    return headers, query, body + content[512:]


def _tolerating(function: Callable[[bytes], object], *refusals: type[Exception]) -> Target:
    def target(content: bytes) -> None:
        try:
            function(content)
        except refusals:
            return

    return target


def _doors() -> Mapping[str, Target]:
    exact = {door.name: door_target(door, "POST", path) for path, door in DOORS.items() if not path.endswith("/")}
    return exact | {door.name: door_target(door, "GET", prefix) for prefix, door in PREFIXES}


TARGETS: Mapping[str, Target] = {
    **_doors(),
    "gzip": _tolerating(lambda content: inflate(content, 1_048_576), RequestRefused),
    "topic-event": _tolerating(decode_event, InvalidEvent),
    "topic-command": _tolerating(decode_command, InvalidCommand),
    "credentials": _tolerating(secret_of, RequestRefused),
    "token": _tolerating(lambda content: _signer.read(content.decode("latin-1"), ClickClaim), InvalidToken),
    "import-map": _tolerating(lambda content: parse_map(content.decode("latin-1")), InvalidMap),
    "traceparent": _tolerating(lambda content: parse_traceparent(content.decode("latin-1"))),
}
"""By name; every door is one."""
