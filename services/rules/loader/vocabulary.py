"""The names a rule set may use: channels, stages, templates, event types."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec
import yaml

from services.contracts.catalogue import Catalogue, load_catalogue
from services.contracts.ids import Channel, TemplateName
from services.contracts.messages import Kind
from services.contracts.outcomes import OutcomeType
from services.rules.loader.mistakes import cure_of, suggestion
from services.rules.loader.sections import Source, one_of, text

CHANNELS = ("email", "sms", "telegram")
"""What can be sent on."""
KINDS = tuple(kind.value for kind in Kind)


class Vocabulary(msgspec.Struct, frozen=True):
    """What the other files of the rule set define.

    `templates` gives each template's channels; an empty set where its content is not at hand. `lenient_templates`: a missing template
    is a warning (`simulate`), not an error. `stages` empty: there is no lifecycle.
    """

    templates: Mapping[TemplateName, frozenset[str]] = {}
    stages: tuple[str, ...] = ()
    lenient_templates: bool = False


@lru_cache(maxsize=1)
def known_events() -> Catalogue:
    """Return the event types that have a schema; read from the packaged files once."""
    return load_catalogue()


@lru_cache(maxsize=1)
def event_types() -> frozenset[str]:
    """Return the event types that have a schema, and those of outcomes."""
    return frozenset(known_events().types()) | {kind.value for kind in OutcomeType}


@lru_cache(maxsize=1)
def passive_types() -> frozenset[str]:
    """Return the event types that do not count as activity: what Povod's own services report, and what the schemas say."""
    outcomes = {kind.value for kind in OutcomeType if not known_events().is_known(kind.value)}
    return frozenset(name for name in known_events().types() if not known_events().is_activity(name)) | outcomes


def data_names(types: tuple[str, ...]) -> frozenset[str] | None:
    """Return the names that the data of events of these types is known to have; None where one of them has no schema."""
    if not types or not all(known_events().fields(name) for name in types):
        return None
    return frozenset().union(*(known_events().fields(name) for name in types))


def event_type(source: Source, node: yaml.Node) -> str | None:
    """Read an event type: any is accepted, one that is nearly a known one earns a warning."""
    name = text(source, node)
    if name is not None and name not in event_types() and (near := suggestion(name, event_types())):
        source.warn(node, f"no event type {name!r} is known", f"did you mean {near!r}?")
    return name


def channel(source: Source, node: yaml.Node) -> Channel | None:
    """Read a channel's name."""
    name = one_of(CHANNELS, "channels")(source, node)
    return None if name is None else Channel(name)


def kind(source: Source, node: yaml.Node) -> Kind | None:
    """Read a kind of message."""
    name = one_of(KINDS, "kinds")(source, node)
    return None if name is None else Kind(name)


def stage(source: Source, node: yaml.Node, vocabulary: Vocabulary) -> str | None:
    """Read the name of a stage of the lifecycle."""
    name = text(source, node)
    if name is None or name in vocabulary.stages:
        return name
    cure = cure_of(name, vocabulary.stages, "stages") if vocabulary.stages else "list it under `stages` in lifecycle.yaml"
    source.error(node, f"no stage is called {name!r}", cure)
    return None


def template(source: Source, node: yaml.Node, vocabulary: Vocabulary) -> TemplateName | None:
    """Read the name of a template."""
    name = text(source, node)
    if name is None or name in vocabulary.templates:
        return None if name is None else TemplateName(name)
    note = source.warn if vocabulary.lenient_templates else source.error
    near = suggestion(name, vocabulary.templates)
    note(
        node, f"there is no template {name!r}", f"did you mean {near!r}?" if near else f"write it in the templates folder: {name}/email/en/"
    )
    return TemplateName(name)
