"""What becomes of a delivery: when it is claimed, and after the provider has answered. Pure: no I/O, no clock.

Claiming asks, in this order: has it expired, does consent or a suppression refuse it, does a kill switch hold it, is now inside one
of its windows. The first no decides.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

import msgspec

from services.contracts.ids import MessageId
from services.contracts.messages import Message, Window
from services.dispatch.channels.port import Accepted, Answer, Reject, Retry, Unknown
from services.dispatch.states import Delivery, State, ending, waiting
from services.runtime.texts import storable

_DETAIL_LIMIT = 500
HELD = "held"
"""The reason of a waiting delivery that a kill switch holds."""


class Facts(NamedTuple):
    """What the database said under the consent lock: why messages must not go, and which kill switches, (scope, name), are set."""

    refusals: Mapping[MessageId, str]
    holds: AbstractSet[tuple[str, str]]
    provider: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is written about a delivery. `due_at` is set where it goes on waiting; a state that ends it also reports an outcome."""

    state: State
    attempt: int
    ambiguous: int
    due_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None
    provider_id: str | None = None
    suppress: bool = False


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how late another attempt is made: full jitter below `min(cap, base * 2**(attempt - 1))`."""

    max_attempts: int
    base: timedelta
    cap: timedelta

    def delay(self, attempt: int, chance: Random) -> timedelta:
        """Return the back-off after that many attempts, at least a tenth of its bound."""
        bound: timedelta = min(self.cap, self.base * (1 << min(attempt - 1, 30)))
        return bound * chance.uniform(0.1, 1.0)


def judge(delivery: Delivery, facts: Facts, now: datetime) -> Verdict:
    """Say whether a delivery may be claimed now: `claimed`, still waiting, or ended."""
    message = delivery.message
    if now >= message.expires_at:
        return _ended(delivery, State.EXPIRED, "expired")
    if reason := facts.refusals.get(message.message_id):
        return _ended(delivery, State.REFUSED, reason)
    if is_held(message, facts):
        return _waits(delivery, message.expires_at, HELD)
    return _within_windows(delivery, now)


def is_held(message: Message, facts: Facts) -> bool:
    """Say whether any kill switch is set for this message."""
    switches = (
        ("all", ""),
        ("channel", message.channel),
        ("provider", facts.provider),
        ("journey", message.journey),
        ("template", message.template),
    )
    return any(switch in facts.holds for switch in switches)


def next_allowed(windows: tuple[Window, ...], now: datetime) -> datetime | None:
    """Return the first moment from `now` on that lies in a window, or None where none is left."""
    return next((max(now, window.starts_at) for window in windows if now < window.ends_at), None)


def settle(delivery: Delivery, answer: Answer, now: datetime, policy: RetryPolicy, chance: Random, *, at_most_once: bool) -> Verdict:
    """Say what a provider's answer means. `delivery.attempt` counts the attempt that was just made."""
    match answer:
        case Accepted(provider_id=provider_id):
            return msgspec.structs.replace(_ended(delivery, State.SENT), provider_id=provider_id and _shortened(provider_id))
        case Reject():
            verdict = _ended(delivery, State.FAILED, answer.reason, answer.detail)
            return msgspec.structs.replace(verdict, suppress=answer.suppress)
        case Retry(scope="channel"):
            return _after_channel_failure(delivery, answer, now)
        case Retry():
            return _after_refusal(delivery, answer, now, policy, chance)
        case Unknown():
            return _after_silence(delivery, answer, now + policy.delay(1, chance), at_most_once=at_most_once)


def not_begun(delivery: Delivery, now: datetime) -> Verdict:
    """Give a delivery back whose attempt was announced and certainly not begun; the attempt does not count."""
    attempt = max(0, delivery.attempt - 1)
    return Verdict(state=waiting(attempt, delivery.ambiguous), attempt=attempt, ambiguous=delivery.ambiguous, due_at=now)


def unusable(delivery: Delivery, reason: str, detail: str) -> Verdict:
    """End a delivery that can't be rendered."""
    return _ended(delivery, State.FAILED, reason, detail)


def recalled(delivery: Delivery, reason: str) -> Verdict:
    """End a delivery that was taken back before an attempt."""
    return _ended(delivery, State.RECALLED, reason)


def taken_back(verdict: Verdict, reason: str) -> Verdict:
    """Return what becomes of a delivery that was recalled during the attempt which this verdict is about: it waits for no other."""
    if verdict.due_at is None:
        return verdict
    state = ending(State.RECALLED, verdict.ambiguous)
    return msgspec.structs.replace(verdict, state=state, due_at=None, reason=reason)


def _within_windows(delivery: Delivery, now: datetime) -> Verdict:
    allowed_at = next_allowed(delivery.message.windows, now)
    if allowed_at is None:
        return _ended(delivery, State.EXPIRED, "no_window_left")
    if allowed_at > now:
        return _waits(delivery, allowed_at, "outside_window")
    return Verdict(state=State.CLAIMED, attempt=delivery.attempt, ambiguous=delivery.ambiguous)


def _after_channel_failure(delivery: Delivery, answer: Retry, now: datetime) -> Verdict:
    """The message was not at fault: the attempt does not count, and only its expiry bounds the waiting."""
    released = not_begun(delivery, now + (answer.after or timedelta(0)))
    return msgspec.structs.replace(released, reason=answer.reason, detail=_shortened(answer.detail))


def _after_refusal(delivery: Delivery, answer: Retry, now: datetime, policy: RetryPolicy, chance: Random) -> Verdict:
    if delivery.attempt >= policy.max_attempts:
        return _ended(delivery, State.FAILED, answer.reason, answer.detail)
    due_at = now + max(answer.after or timedelta(0), policy.delay(delivery.attempt, chance))
    if due_at >= delivery.message.expires_at:
        return _ended(delivery, State.EXPIRED, answer.reason, answer.detail)
    return _waits(delivery, due_at, answer.reason, answer.detail)


def _after_silence(delivery: Delivery, answer: Unknown, due_at: datetime, *, at_most_once: bool) -> Verdict:
    ambiguous = delivery.ambiguous + 1
    uncertain = msgspec.structs.replace(delivery, ambiguous=ambiguous)
    if at_most_once or ambiguous > 1 or due_at >= delivery.message.expires_at:
        return _ended(uncertain, State.UNKNOWN, answer.reason, answer.detail)
    return _waits(uncertain, due_at, answer.reason, answer.detail)


def _waits(delivery: Delivery, due_at: datetime, reason: str, detail: str = "") -> Verdict:
    return Verdict(
        state=waiting(delivery.attempt, delivery.ambiguous),
        attempt=delivery.attempt,
        ambiguous=delivery.ambiguous,
        due_at=due_at,
        reason=reason,
        detail=_shortened(detail),
    )


def _ended(delivery: Delivery, state: State, reason: str | None = None, detail: str = "") -> Verdict:
    return Verdict(
        state=ending(state, delivery.ambiguous),
        attempt=delivery.attempt,
        ambiguous=delivery.ambiguous,
        reason=reason,
        detail=_shortened(detail),
    )


def _shortened(detail: str) -> str | None:
    return storable(detail)[:_DETAIL_LIMIT] or None
