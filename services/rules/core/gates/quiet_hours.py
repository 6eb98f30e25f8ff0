"""Is it a time at which this customer may be written to?"""

from services.contracts.decisions import Reason
from services.contracts.ids import Channel
from services.contracts.messages import Kind
from services.rules.core.gates.answer import Answer
from services.rules.core.quiet_hours import is_quiet, next_open
from services.rules.core.ruleset import Policy, QuietHours
from services.rules.core.turn import Candidate, Turn
from services.rules.core.zones import zone_of


def quiet_for(policy: Policy, channel: Channel, kind: Kind) -> tuple[QuietHours, ...]:
    """Return the quiet hours that this kind of message on this channel must keep."""
    return tuple(
        quiet for quiet in policy.quiet_hours if kind not in quiet.exempt_kinds and (not quiet.channels or channel in quiet.channels)
    )


def quiet_hours(turn: Turn, candidate: Candidate, channel: Channel) -> Answer:
    """Defer to the end of quiet hours; refuse as expired where that is too late."""
    quiets = quiet_for(turn.ruleset.policy, channel, candidate.step.kind)
    if not quiets:
        return Answer("quiet_hours")
    name, zone = zone_of(turn.document, turn.ruleset.policy)
    seen = {"zone": name, "local": turn.now.astimezone(zone).isoformat(timespec="minutes")}
    if not is_quiet(quiets, turn.now, zone):
        return Answer("quiet_hours", seen=seen)
    until = next_open(quiets, zone, turn.now, candidate.expires_at)
    if until is None:
        return Answer("quiet_hours", Reason.EXPIRED, seen={**seen, "expires_at": candidate.expires_at.isoformat()})
    return Answer("quiet_hours", Reason.QUIET_HOURS, until=until, seen=seen)
