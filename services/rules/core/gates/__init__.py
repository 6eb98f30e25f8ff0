"""The gates between a reason to write and a message, one small function each, asked in the order of these lists.

The first refusal is the reason in the ledger; the answers up to it are kept. Enrolment gates stand before a journey, candidate gates
before every message; channel gates are asked for each channel until one passes; sending gates look at the time of sending.
"""

from services.rules.core.gates.consent import consent, suppression
from services.rules.core.gates.entrance import Entrance, EntranceGate, exited_before, keyed, not_historical, not_late, reentry, stage_open
from services.rules.core.gates.frequency_cap import frequency_cap
from services.rules.core.gates.gap import gap
from services.rules.core.gates.quiet_hours import quiet_hours
from services.rules.core.gates.reachable import reachable
from services.rules.core.gates.standing import expired, not_exited, stage
from services.rules.core.gates.subject import CandidateGate, ChannelGate

ENTRANCE_GATES: tuple[EntranceGate, ...] = (not_late, not_historical, stage_open, keyed, exited_before, reentry)
CANDIDATE_GATES: tuple[CandidateGate, ...] = (expired, stage, not_exited)
CHANNEL_GATES: tuple[ChannelGate, ...] = (consent, suppression, reachable)
SENDING_GATES: tuple[ChannelGate, ...] = (quiet_hours, frequency_cap, gap)

__all__ = ["CANDIDATE_GATES", "CHANNEL_GATES", "ENTRANCE_GATES", "SENDING_GATES", "Entrance"]
