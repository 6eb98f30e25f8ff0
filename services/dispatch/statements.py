"""The journal's SQL. Every state change of table `deliveries` is one of these statements."""

from sqlalchemy import text

from services.runtime.bulk import BulkStatement

INSERT = BulkStatement(
    "INSERT INTO deliveries (message_id, customer, channel, recipient, journey, step, template, state, attempt, ambiguous, priority,"
    " due_at, expires_at, command)"
    " SELECT message_id, customer, channel, recipient, journey, step, template, 'queued', 0, 0, priority, due_at, expires_at, command"
    " FROM {rows} WHERE true"
    " ON CONFLICT (message_id) DO UPDATE SET customer = excluded.customer, channel = excluded.channel, recipient = excluded.recipient,"
    " journey = excluded.journey, step = excluded.step, template = excluded.template, expires_at = excluded.expires_at,"
    " command = excluded.command WHERE deliveries.command = ''"
    " RETURNING message_id, state, reason",
    message_id="text",
    customer="text",
    channel="text",
    recipient="text",
    journey="text",
    step="text",
    template="text",
    priority="integer",
    due_at="bigint",
    expires_at="bigint",
    command="text",
)
"""A repeat changes nothing; a message whose recall was here first fills the tombstone and comes back as `recalled`."""

INSERT_TOMBSTONE = BulkStatement(
    "INSERT INTO deliveries (message_id, customer, channel, recipient, journey, step, template, state, attempt, ambiguous, priority,"
    " expires_at, ended_at, reason, command)"
    " SELECT message_id, customer, '', '', '', '', '', 'recalled', 0, 0, 0, 0, :now, reason, '' FROM {rows} WHERE true"
    " ON CONFLICT (message_id) DO NOTHING",
    message_id="text",
    customer="text",
    reason="text",
)

RECALL = BulkStatement(
    "UPDATE deliveries SET"
    " state = CASE WHEN state = 'sending' THEN state WHEN ambiguous > 0 THEN 'unknown' ELSE 'recalled' END,"
    " lease_until = CASE WHEN state = 'sending' THEN lease_until END,"
    " ended_at = CASE WHEN state = 'sending' THEN ended_at ELSE CAST(:now AS bigint) END,"
    " reason = CASE WHEN state = 'sending' THEN deliveries.reason ELSE rows.reason END,"
    " recall_reason = COALESCE(recall_reason, rows.reason), due_at = NULL FROM {rows}"
    " WHERE deliveries.message_id = rows.message_id AND deliveries.state IN ('queued', 'retry_at', 'ambiguous', 'claimed', 'sending')"
    " RETURNING deliveries.command, deliveries.state, deliveries.attempt, deliveries.ambiguous, deliveries.reason",
    message_id="text",
    reason="text",
)
"""What waits or is claimed ends at once; what is being sent keeps the recall until its attempt has an answer. One statement: a delivery
that moves from one to the other meanwhile is met as what it has become."""

_DUE = (
    "SELECT message_id, attempt, ambiguous, command FROM deliveries"
    " WHERE channel = :channel AND due_at <= :now ORDER BY due_at LIMIT :limit"
)
DUE = {"sqlite": text(_DUE), "postgresql": text(f"{_DUE} FOR UPDATE SKIP LOCKED")}

NEXT_DUE = text("SELECT min(due_at) FROM deliveries WHERE channel = :channel AND due_at IS NOT NULL")

CLAIM = BulkStatement(
    "UPDATE deliveries SET state = 'claimed', claim = :token, claimed_at = :now, lease_until = :lease_until, due_at = NULL"
    " FROM {rows} WHERE deliveries.message_id = rows.message_id",
    message_id="text",
)

PUT_OFF = BulkStatement(
    "UPDATE deliveries SET state = rows.state, due_at = rows.due_at, ended_at = rows.ended_at, reason = rows.reason"
    " FROM {rows} WHERE deliveries.message_id = rows.message_id",
    message_id="text",
    state="text",
    due_at="bigint",
    ended_at="bigint",
    reason="text",
)

BEGIN = BulkStatement(
    "UPDATE deliveries SET state = 'sending', attempt = attempt + 1, lease_until = :lease_until"
    " FROM {rows} WHERE deliveries.message_id = rows.message_id AND deliveries.claim = :token AND deliveries.state = 'claimed'"
    " RETURNING deliveries.message_id",
    message_id="text",
)

SETTLE = BulkStatement(
    "UPDATE deliveries SET attempt = rows.attempt, ambiguous = rows.ambiguous, detail = rows.detail, provider_id = rows.provider_id,"
    " state = CASE WHEN deliveries.recall_reason IS NULL OR rows.due_at IS NULL THEN rows.state"
    " WHEN rows.ambiguous > 0 THEN 'unknown' ELSE 'recalled' END,"
    " ended_at = CASE WHEN deliveries.recall_reason IS NULL OR rows.due_at IS NULL THEN rows.ended_at ELSE CAST(:now AS bigint) END,"
    " reason = CASE WHEN deliveries.recall_reason IS NULL OR rows.due_at IS NULL THEN rows.reason ELSE deliveries.recall_reason END,"
    " due_at = CASE WHEN deliveries.recall_reason IS NULL THEN rows.due_at END, lease_until = NULL"
    " FROM {rows} WHERE deliveries.message_id = rows.message_id AND deliveries.claim = rows.claim"
    " AND deliveries.state IN ('claimed', 'sending')"
    " RETURNING deliveries.message_id, deliveries.recall_reason",
    message_id="text",
    claim="text",
    state="text",
    due_at="bigint",
    attempt="integer",
    ambiguous="integer",
    ended_at="bigint",
    reason="text",
    detail="text",
    provider_id="text",
)
"""What was recalled during its attempt does not wait for another one."""

LOST_CLAIMS = text(
    "UPDATE deliveries SET state = CASE WHEN ambiguous > 0 THEN 'ambiguous' WHEN attempt > 0 THEN 'retry_at' ELSE 'queued' END,"
    " due_at = :now, claim = NULL, lease_until = NULL"
    " WHERE channel = :channel AND state = 'claimed' AND lease_until <= :lease_now"
)

LOST_SENDS_LAST = text(
    "UPDATE deliveries SET state = 'unknown', ambiguous = ambiguous + 1, claim = NULL, lease_until = NULL, ended_at = :now,"
    " reason = 'worker_lost'"
    " WHERE channel = :channel AND state = 'sending' AND lease_until <= :lease_now"
    " AND (ambiguous >= :allowed OR recall_reason IS NOT NULL)"
    " RETURNING command, attempt, ambiguous"
)

LOST_SENDS = text(
    "UPDATE deliveries SET state = 'ambiguous', ambiguous = ambiguous + 1, claim = NULL, lease_until = NULL, due_at = :now,"
    " reason = 'worker_lost'"
    " WHERE channel = :channel AND state = 'sending' AND lease_until <= :lease_now"
)

DISOWN = text(
    "UPDATE deliveries SET lease_until = 0"
    " WHERE lease_until IS NOT NULL AND substr(claim, 1, length(:worker)) = :worker AND substr(claim, 1, length(:run)) <> :run"
)
"""What an earlier run of the same worker held is nobody's any more."""
