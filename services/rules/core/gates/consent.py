"""May this customer be written to on this channel? The document's copy answers here; dispatch asks the ledger again at the last moment."""

from services.contracts.decisions import Reason
from services.contracts.ids import Channel
from services.contracts.messages import Kind
from services.rules.core.gates.answer import Answer
from services.rules.core.ruleset import ConsentMode
from services.rules.core.turn import Candidate, Turn

SUBSCRIBED = "subscribed"
UNSUBSCRIBED = "unsubscribed"
ALL_CHANNELS = Channel("all")
"""Stands for every channel: whoever has left everything gets nothing, whatever they said of one channel."""
_NEEDS_NO_CONSENT = frozenset({("email", Kind.SERVICE)})
"""About the customer's own order, by e-mail: no marketing, so nobody need have said yes; but a no is obeyed all the same.

SMS and messengers always need a yes.
"""


def consent(turn: Turn, candidate: Candidate, channel: Channel) -> Answer:
    """Refuse where consent is missing (`opt_in`) or withdrawn. A channel without a policy is `opt_in`."""
    is_exempt = (channel, candidate.step.kind) in _NEEDS_NO_CONSENT
    mode = ConsentMode.OPT_OUT if is_exempt else turn.ruleset.policy.consent.get(channel, ConsentMode.OPT_IN)
    given = turn.document.consents.get(channel)
    state = given.state if given else "unknown"
    if (everything := turn.document.consents.get(ALL_CHANNELS)) is not None and everything.state == UNSUBSCRIBED:
        state = UNSUBSCRIBED
    assumed = turn.ruleset.assume_contactable or mode is ConsentMode.OPT_OUT
    allowed = state == SUBSCRIBED or (assumed and state != UNSUBSCRIBED)
    return Answer("consent", None if allowed else Reason.CONSENT, seen={"needs": mode.value, "state": state}, channel=channel)


def suppression(turn: Turn, candidate: Candidate, channel: Channel) -> Answer:  # noqa: ARG001 - the gates' common shape
    """Refuse an address that must not be used again. A new address on the channel is free of the old one's fate."""
    suppressed = turn.document.suppressed.get(channel)
    if suppressed is None or suppressed.address != turn.document.addresses.get(channel, suppressed.address):
        return Answer("suppressed", channel=channel)
    return Answer("suppressed", Reason.SUPPRESSED, seen={"because": suppressed.reason}, channel=channel)
