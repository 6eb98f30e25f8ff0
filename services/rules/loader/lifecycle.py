"""`lifecycle.yaml`: the stages of a customer and what moves them.

stages: [lead, onboarding, active, dormant, archived]
initial: lead
transitions:
  - {from: lead, to: onboarding, on: customer.registered}
  - {from: [lead, onboarding], to: active, on: [order.completed, order.postponed]}
  - {from: active, to: dormant, inactive: 60d}
"""

from functools import partial

import yaml

from services.rules.core.ruleset import Lifecycle, Transition
from services.rules.loader.documents import compose
from services.rules.loader.mistakes import Findings
from services.rules.loader.sections import Section, Source, duration, list_of, one_or_list, section, text
from services.rules.loader.vocabulary import Vocabulary, event_type, stage

KEYS = frozenset({"stages", "initial", "transitions"})
TRANSITION_KEYS = frozenset({"from", "to", "on", "inactive"})


def read_lifecycle(file: str, content: str, findings: Findings) -> Lifecycle:
    """Read the stage machine; an empty one after noting that the file can't be used."""
    root = compose(file, content, findings)
    if root is None:
        return Lifecycle()
    source = Source(file, findings)
    fields = Section(source, root, KEYS)
    listed = fields.require("stages", "list them: stages: [lead, active]")
    stages = (None if listed is None else list_of(text)(source, listed)) or ()
    if not stages:
        return Lifecycle()
    vocabulary = Vocabulary(stages=stages)
    named = partial(stage, vocabulary=vocabulary)
    return Lifecycle(
        stages=stages,
        initial=fields.read("initial", named, stages[0]),
        transitions=fields.read("transitions", list_of(partial(_transition, vocabulary=vocabulary)), ()),
    )


def _transition(source: Source, node: yaml.Node, vocabulary: Vocabulary) -> Transition | None:
    parts = section(source, node, TRANSITION_KEYS, what="transition")
    if parts is None:
        return None
    named = partial(stage, vocabulary=vocabulary)
    target = parts.require("to", "name the stage it leads to")
    to = None if target is None else named(source, target)
    sources = parts.read("from", one_or_list(named), ())
    if ("on" in parts) == ("inactive" in parts):
        source.error(node, "a transition needs either `on` or `inactive`", "write on: order.completed, or inactive: 60d")
        return None
    on = parts.read("on", one_or_list(event_type), ())
    inactive = parts.read("inactive", duration, None)
    return None if to is None or not (on or inactive) else Transition(sources, to, on, inactive)
