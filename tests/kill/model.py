"""The oracle of decisions: what the rules of `tests/kill/rules` must decide, replayed from `history`, in a hundred lines of its own.

It shares no code with `services.rules.core`. An input is a row of `history`; the answer is the rows that the decision ledger must
hold, in order.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

WAIT = timedelta(seconds=2)
CAP = 4
CAP_WINDOW = timedelta(seconds=10)
ANY_TIME = datetime.max.replace(tzinfo=UTC)
"""When a message goes out of which nothing was reported yet: no window can exclude it (it is valid for a day)."""
FREEING = {"message.failed", "message.refused", "message.recalled", "message.expired"}


class HistoryRow(NamedTuple):
    """One input as `history` has it; `event` is None for a timer, whose `due_at` is set. `now` is when it was decided."""

    customer: str
    seq: int
    now: datetime
    event: dict[str, Any] | None
    due_at: datetime | None


class LedgerRow(NamedTuple):
    """One decision: what a row of the ledger must say."""

    customer: str
    seq: int
    journey: str
    key: str
    verdict: str
    reason: str


class Cart(NamedTuple):
    """A cart that waits: when it was filled, when its reminder is due."""

    filled_at: datetime
    due_at: datetime


class Customer:
    """What the model knows of one customer."""

    def __init__(self) -> None:
        self.has_address = False
        self.subscribed = False
        self.carts: dict[str, Cart] = {}
        self.keys_seen: dict[str, set[str]] = {"cart": set(), "thanks": set()}
        self.last_order_at: datetime | None = None
        self.slots: dict[str, datetime] = {}

    def decide(self, row: HistoryRow) -> Iterator[LedgerRow]:
        """Apply one input and say what the ledger must hold for it."""
        if row.event is None:
            yield from self._timer(row)
            return
        kind, data = row.event["type"], row.event["data"]
        if kind == "customer.registered":
            self._register(data)
        elif kind == "povod.consent":
            self.subscribed = data["state"] == "subscribed"
        elif kind in FREEING:
            self.slots.pop(data["message_id"], None)
        elif kind == "message.sent" and data["message_id"] in self.slots:
            self.slots[data["message_id"]], _ = _times(row)
        elif kind == "product.added":
            yield from self._added(row, data["session_id"])
        elif kind == "order.completed":
            yield from self._ordered(row, data)

    def _register(self, data: dict[str, Any]) -> None:
        self.has_address = "email" in data
        self.subscribed = bool(data.get("consent", {}).get("email"))

    def _added(self, row: HistoryRow, key: str) -> Iterator[LedgerRow]:
        filled_at, received_at = _times(row)
        if self.last_order_at is not None and self.last_order_at > filled_at:
            yield _ledger(row, "cart", key, "skipped", "exited")
        elif key in self.keys_seen["cart"]:
            yield _ledger(row, "cart", key, "skipped", "reentry")
        else:
            self.keys_seen["cart"].add(key)
            self.carts[key] = Cart(filled_at, received_at + WAIT)

    def _ordered(self, row: HistoryRow, data: dict[str, Any]) -> Iterator[LedgerRow]:
        ordered_at, _ = _times(row)
        self.last_order_at = max(self.last_order_at or ordered_at, ordered_at)
        for key in [key for key, cart in self.carts.items() if cart.filled_at <= ordered_at]:
            del self.carts[key]
            yield _ledger(row, "cart", key, "skipped", "exited")
        if data["total"] < 50:
            return
        if data["order_id"] in self.keys_seen["thanks"]:
            yield _ledger(row, "thanks", data["order_id"], "skipped", "reentry")
            return
        self.keys_seen["thanks"].add(data["order_id"])
        yield self._send(row, "thanks", data["order_id"])

    def _timer(self, row: HistoryRow) -> Iterator[LedgerRow]:
        for key in [key for key, cart in self.carts.items() if cart.due_at == row.due_at]:
            del self.carts[key]
            yield self._send(row, "cart", key)

    def _send(self, row: HistoryRow, journey: str, key: str) -> LedgerRow:
        if not self.subscribed:
            return _ledger(row, journey, key, "skipped", "consent")
        if not self.has_address:
            return _ledger(row, journey, key, "skipped", "unreachable")
        if sum(sent_at > row.now - CAP_WINDOW for sent_at in self.slots.values()) >= CAP:
            return _ledger(row, journey, key, "skipped", "frequency_cap")
        return _ledger(row, journey, key, "sent", "ok")


def _ledger(row: HistoryRow, journey: str, key: str, verdict: str, reason: str) -> LedgerRow:
    return LedgerRow(row.customer, row.seq, journey, key, verdict, reason)


def _times(row: HistoryRow) -> tuple[datetime, datetime]:
    """Return when an event happened, and when it was received: nothing happens later than that."""
    assert row.event is not None
    received_at = datetime.fromisoformat(row.event["receivedtime"])
    return min(datetime.fromisoformat(row.event["time"]), received_at), received_at


def replay(history: Iterable[HistoryRow], message_ids: dict[tuple[str, int, str, str], str]) -> Iterator[LedgerRow]:
    """Replay history (ordered by customer and seq) and yield the ledger it must have led to.

    `message_ids` names the message of each decision sent, from the ledger itself: ids are derived values that the model does not
    derive again; which slot an outcome frees hangs on them.
    """
    customers: dict[str, Customer] = {}
    for row in history:
        customer = customers.setdefault(row.customer, Customer())
        for decision in customer.decide(row):
            if decision.verdict == "sent":
                customer.slots[message_ids.get(decision[:4], "missing")] = ANY_TIME
            yield decision
