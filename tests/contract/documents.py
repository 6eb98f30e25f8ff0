"""The documents in `schemas/` that are made from code: the contracts, the OpenAPI and the AsyncAPI document.

`python -m tests.contract.documents` writes them.
"""

import inspect
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from services.consent.tokens import TokenSigner
from services.contracts.catalogue import load_catalogue
from services.contracts.decisions import Decision
from services.contracts.events import Event
from services.contracts.messages import Message, Recall
from services.contracts.outcomes import OutcomeData
from services.contracts.resources import resource
from services.ingest.app import create_app
from services.ingest.keyring import KeyRing
from services.ingest.parts import IngestParts
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.health import HealthState
from services.runtime.settings import IngestSettings
from services.runtime.telemetry.metrics import process_metrics
from tests.contract.asyncapi import asyncapi_text

CONTRACTS: dict[str, type[msgspec.Struct]] = {
    "event": Event,
    "message": Message,
    "recall": Recall,
    "outcome": OutcomeData,
    "decision": Decision,
}


def documents() -> dict[str, str]:
    """Return the text of every file in `schemas/` that is made from code, by its name."""
    found = {f"{name}.json": contract_schema(name) for name in CONTRACTS} | {"openapi.json": openapi_document()}
    texts = {name: json.dumps(document, ensure_ascii=False, indent=2) + "\n" for name, document in found.items()}
    return texts | {"asyncapi.yaml": asyncapi_text()}


def contract_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a contract."""
    contract = CONTRACTS[name]
    schema = msgspec.json.schema(contract)
    for defined in schema["$defs"].values():
        defined["description"] = inspect.cleandoc(defined["description"])
    properties = schema["$defs"][contract.__name__]["properties"]
    for field in msgspec.structs.fields(contract):
        if field.type is datetime:
            properties[field.encode_name]["format"] = "date-time"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:povod:schemas:{name}", **schema}


def openapi_document() -> dict[str, Any]:
    """Return what the ingest service says of itself; none of its parts is started for that."""
    clock, database, metrics = SystemClock(), Database("sqlite:///:memory:"), process_metrics()
    parts = IngestParts(
        log=EmbeddedEventLog(Path("unused.db"), {}, clock),
        database=database,
        keys=KeyRing(database, clock),
        clock=clock,
        settings=IngestSettings(),
        signer=TokenSigner(["unused"]),
        metrics=metrics,
        catalogue=load_catalogue(),
        health=HealthState({}),
        on_unsubscribed=lambda: None,
    )
    return create_app(parts).openapi()


if __name__ == "__main__":
    for file, text in documents().items():
        (resource("schemas") / file).write_text(text, encoding="utf-8")
