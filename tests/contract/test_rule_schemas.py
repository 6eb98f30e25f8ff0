"""The JSON Schemas of rule files say what the loader says, so that an editor underlines what `povod check` would refuse."""

import json
import re
from typing import Any

import jsonschema_rs
import pytest
import yaml

from services.contracts.resources import resource
from tests.rule_examples import (
    RIGHT_JOURNEYS,
    RIGHT_LIFECYCLES,
    RIGHT_POLICIES,
    WRONG_JOURNEYS,
    WRONG_LIFECYCLES,
    WRONG_POLICIES,
    Wrong,
)

RIGHT = {"journey": RIGHT_JOURNEYS, "policy": RIGHT_POLICIES, "lifecycle": RIGHT_LIFECYCLES}
WRONG = {"journey": WRONG_JOURNEYS, "policy": WRONG_POLICIES, "lifecycle": WRONG_LIFECYCLES}


class _Yaml12(yaml.SafeLoader):
    """YAML 1.2 as editors read it: `on` is a text, `13:00` too."""


_Yaml12.yaml_implicit_resolvers = {}
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((resource("schemas") / "rules" / f"{name}.schema.json").read_text(encoding="utf-8"))
    return schema


def _is_valid(name: str, text: str) -> bool:
    return jsonschema_rs.is_valid(_schema(name), yaml.load(text, Loader=_Yaml12))  # noqa: S506 - a safe loader


@pytest.mark.parametrize(
    ("name", "text"), [pytest.param(name, text, id=f"{name}-{each}") for name in RIGHT for each, text in RIGHT[name].items()]
)
def test_accepts(name: str, text: str) -> None:
    """What the loader takes is valid."""
    assert _is_valid(name, text)


@pytest.mark.parametrize(
    ("name", "wrong"), [pytest.param(name, wrong, id=f"{name}-{each}") for name in WRONG for each, wrong in WRONG[name].items()]
)
def test_rejects(name: str, wrong: Wrong) -> None:
    """What the loader refuses is invalid wherever a schema can see it, and valid where only the loader can."""
    assert _is_valid(name, wrong.text) is not wrong.schema_sees


@pytest.mark.parametrize("name", RIGHT)
def test_is_a_schema(name: str) -> None:
    """Each file is itself valid JSON Schema (2020-12): a misspelt keyword of ours would be seen."""
    schema = _schema(name)
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"] == f"urn:povod:schemas:rules:{name}"
    assert schema["additionalProperties"] is False
