"""What a page's consent manager says beside every event: `context.consent.categoryPreferences`, of which only the no counts.

The policy names the channels that a category stands for (`consent_categories`). A banner's yes is about cookies, comes from a browser that
may say it for anybody, and is often a default: it grants nothing. Its no is repeated with every event, so it counts once, when it is new:
who subscribes afterwards is not unsubscribed again by the page that still says what it said before.
"""

from collections.abc import Mapping
from typing import Any

from services.contracts.events import Event
from services.contracts.ids import Channel
from services.rules.core.profile import state_consent
from services.rules.core.turn import Turn

MAX_CHANNELS = 32


def note_refusals(turn: Turn, event: Event) -> None:
    """Withdraw the consent to channels of whose categories one is refused now and was not before; the event's own word goes first."""
    categories = turn.ruleset.policy.consent_categories
    if not categories or not (stated := _stated(event.data.get("context"), categories)):
        return
    before = turn.document.refused_channels
    for channel in sorted(channel for channel, is_refused in stated.items() if is_refused and channel not in before):
        known = turn.document.consents.get(channel)
        if known is None or known.at < turn.happened_at:
            state_consent(turn, event, channel, "unsubscribed")
    refused = {channel for channel in before if stated.get(channel, True)} | {channel for channel in stated if stated[channel]}
    if refused != set(before):
        turn.document.refused_channels = tuple(sorted(refused)[:MAX_CHANNELS])


def _stated(context: Any, categories: Mapping[str, tuple[Channel, ...]]) -> dict[Channel, bool]:
    """Return whether each channel is refused that a stated category stands for."""
    consent = context.get("consent") if isinstance(context, dict) else None
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    stated: dict[Channel, bool] = {}
    if not isinstance(preferences, dict):
        return stated
    for category, channels in categories.items():
        if isinstance(allowed := preferences.get(category), bool):
            stated |= {channel: stated.get(channel, False) or not allowed for channel in channels}
    return stated
