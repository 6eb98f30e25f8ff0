"""The decision ledger's row: why a message was, or was not, decided."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from services.contracts.ids import Channel, ContentHash, CustomerId, JourneyName, MessageId, StepId


class Verdict(StrEnum):
    """How a candidate message ended."""

    SENT = "sent"
    SKIPPED = "skipped"
    DEFERRED = "deferred"
    HELD_OUT = "held_out"


class Reason(StrEnum):
    """Which gate decided; `ok` where all of them passed."""

    OK = "ok"
    LATE = "late"
    HISTORICAL = "historical"
    PAUSED = "paused"
    VERSION = "version"
    STAGE = "stage"
    CONDITION = "condition"
    REENTRY = "reentry"
    EXITED = "exited"
    CONSENT = "consent"
    SUPPRESSED = "suppressed"
    UNREACHABLE = "unreachable"
    QUIET_HOURS = "quiet_hours"
    FREQUENCY_CAP = "frequency_cap"
    GAP = "gap"
    CONTENT_MIX = "content_mix"
    ARBITRATION = "arbitration"
    HOLDOUT = "holdout"
    EXPIRED = "expired"
    LOOP_LIMIT = "loop_limit"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger.

    `input_id` names the event or timer that led here; `detail` holds each gate's inputs and answer, in the order of the gates.
    `key` is the enrolment's key, `step` the path of the `send` step (empty where no step was reached: a refused enrolment).
    """

    at: datetime
    customer: CustomerId
    journey: JourneyName
    key: str
    step: StepId
    ruleset: ContentHash
    input_id: str
    verdict: Verdict
    reason: Reason
    detail: dict[str, Any] = {}
    channel: Channel | None = None
    message_id: MessageId | None = None
