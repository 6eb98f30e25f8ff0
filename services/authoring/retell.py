"""The history, decided once more: what happened in the journeys, told by the pure core from the recorded inputs and times."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from operator import itemgetter

import msgspec

from services.authoring.simulate import Figures, JourneyFigures
from services.contracts.codec import decode_event
from services.contracts.decisions import Decision
from services.contracts.ids import CustomerId
from services.rules.core.decide import decide
from services.rules.core.document import new_document
from services.rules.core.inputs import EventInput, Input, TimerInput
from services.rules.core.ruleset import Ruleset

Line = tuple[CustomerId, str, str, datetime]
"""Customer, kind of input, payload as history keeps it, and the recorded `now`."""


class _Timer(msgspec.Struct):
    due_at: datetime


def retell(lines: Iterable[Line], ruleset: Ruleset) -> Figures:
    """Decide recorded inputs again (each customer's together, in their order) and return the figures; valid for one rule set's time."""
    figures = Figures(journeys={name: JourneyFigures() for name in sorted(ruleset.journeys)})
    for customer, own in groupby(lines, key=itemgetter(0)):
        figures.customers += 1
        document = new_document(customer)
        for _, kind, payload, now in own:
            figures.events += kind == "event"
            document, outcome = decide(document, input_of(kind, payload), ruleset, now)
            figures.count_outcome(outcome, _keep_nothing)
    return figures


def input_of(kind: str, payload: str) -> Input:
    """Return the input of a line of history."""
    if kind == "timer":
        return TimerInput(msgspec.json.decode(payload, type=_Timer).due_at)
    return EventInput(decode_event(payload.encode()))


def _keep_nothing(_decision: Decision) -> None:
    """Figures are enough."""
