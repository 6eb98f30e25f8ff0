"""From files to a compiled `Ruleset`: each file read, names checked across files, everything indexed by the core."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from services.contracts.ids import ContentHash, JourneyName, TemplateName
from services.rules.core.ruleset import Journey, Lifecycle, Policy
from services.rules.loader.files import JOURNEYS, LIFECYCLE, POLICY
from services.rules.loader.journeys import read_journey
from services.rules.loader.lifecycle import read_lifecycle
from services.rules.loader.mistakes import Findings, Place, cure_of
from services.rules.loader.policy import read_policy
from services.rules.loader.vocabulary import Vocabulary

TEMPLATES = "templates.json"
"""The file of a stored rule set that names each template's content."""


class Parts(NamedTuple):
    """A rule set, read but not yet indexed."""

    journeys: dict[JourneyName, Journey]
    policy: Policy
    lifecycle: Lifecycle


def read_parts(files: Mapping[str, str], vocabulary: Vocabulary, findings: Findings) -> Parts:
    """Read all files of a rule set. `vocabulary` needs templates only; stages come from the lifecycle."""
    lifecycle = read_lifecycle(LIFECYCLE, files[LIFECYCLE], findings) if LIFECYCLE in files else Lifecycle()
    vocabulary = msgspec.structs.replace(vocabulary, stages=lifecycle.stages)
    journeys = _read_journeys(files, vocabulary, findings)
    policy = read_policy(POLICY, files[POLICY], vocabulary, findings) if POLICY in files else Policy()
    _check_caps(policy, journeys, findings)
    return Parts(journeys, policy, lifecycle)


def stored_templates(files: Mapping[str, str]) -> dict[TemplateName, ContentHash]:
    """Return the templates that a stored rule set names."""
    return msgspec.json.decode(files.get(TEMPLATES, "{}"), type=dict[TemplateName, ContentHash])


def _read_journeys(files: Mapping[str, str], vocabulary: Vocabulary, findings: Findings) -> dict[JourneyName, Journey]:
    journeys: dict[JourneyName, Journey] = {}
    for file in sorted(name for name in files if name.startswith(f"{JOURNEYS}/")):
        journey = read_journey(file, files[file], vocabulary, findings)
        if journey is None:
            continue
        if journey.name in journeys:
            findings.error(Place(file), f"a journey {journey.name!r} stands in another file too", "give one of them another name")
        journeys[journey.name] = journey
    return journeys


def _check_caps(policy: Policy, journeys: Mapping[JourneyName, Journey], findings: Findings) -> None:
    for cap in policy.caps:
        if cap.scope.of == "journey" and cap.scope.name not in journeys and not findings.errors:
            findings.error(
                Place(POLICY),
                f"a cap counts the journey {cap.scope.name!r}, which is not there",
                cure_of(cap.scope.name, journeys, "journeys"),
            )
