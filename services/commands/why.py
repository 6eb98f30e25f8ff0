"""`povod why`: every decision about a customer, with what each gate saw, and what became of the message."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

import click
import msgspec

from services.authoring.explain import gate_lines, headline
from services.commands.invocation import Invocation
from services.commands.opening import open_database
from services.contracts.decisions import Decision
from services.contracts.errors import Rejected
from services.contracts.ids import CustomerId, MessageId
from services.dispatch.fates import Fate, fates_of
from services.rules.core.document import CustomerDocument
from services.rules.core.ruleset import Policy
from services.rules.core.zones import zone_of
from services.rules.ledger import decisions_of, document_of, similar_customers
from services.runtime.settings import Settings


class Story(NamedTuple):
    """All that is told about a customer."""

    document: CustomerDocument
    decisions: Sequence[Decision]
    fates: Mapping[MessageId, Fate]


@click.command("why")
@click.argument("customer")
@click.option("--journey", default="", metavar="NAME", help="Only decisions of this journey.")
@click.option("--message", default="", metavar="ID", help="Only decisions about this message.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def why(invocation: Invocation, *, customer: str, journey: str, message: str, as_json: bool) -> None:
    """Each decision about CUSTOMER: what every gate saw and answered, and what became of the message."""
    story = invocation.run(tell(invocation.settings, customer, journey, message))
    click.echo(_as_json(story) if as_json else "\n".join(lines_of(story)))


async def tell(settings: Settings, customer: str, journey: str, message: str) -> Story:
    """Read the story; raises `Rejected` (`code="unknown_customer"`) where nothing is known of the customer."""
    database = open_database(settings)
    try:
        async with database.reading() as connection:
            document = await document_of(connection, CustomerId(customer))
            if document is None:
                raise _unknown(customer, await similar_customers(connection, customer))
            decisions = await decisions_of(connection, CustomerId(customer), journey, message)
            return Story(document, decisions, await fates_of(connection, CustomerId(customer)))
    finally:
        await database.close()


def _unknown(customer: str, similar: Sequence[str]) -> Rejected:
    meant = f"; did you mean {' or '.join(similar)}?" if similar else ""
    return Rejected(f"nothing is known of a customer {customer!r}{meant}", code="unknown_customer")


def lines_of(story: Story) -> list[str]:
    """Return the story in plain lines, oldest decision first."""
    document = story.document
    # The rule set's default zone may have changed since; the customer's own, or UTC, is the honest frame for a look back.
    name, zone = zone_of(document, Policy())
    lines = [f"{document.customer}: {document.stage or 'no stage'}, {name}, decisions: {len(story.decisions)}"]
    lines += _kinship(document)
    if not story.decisions:
        lines.append("No journey has decided anything here.")
    for decision in story.decisions:
        lines += ["", *_decision_lines(decision, story.fates, zone, name)]
    return lines


def _kinship(document: CustomerDocument) -> list[str]:
    """Say who became this customer, and whom this one became: their decisions stand under their own names."""
    became = [f"became {document.merged_into}: later events are decided there"] if document.merged_into else []
    refused = [f"did not become {refused.into} on {refused.at:%Y-%m-%d %H:%M} UTC: {refused.reason}" for refused in document.refused_merges]
    came = [f"was before: {', '.join(document.merged_from)}"] if document.merged_from else []
    return [*became, *came, *refused]


def _decision_lines(decision: Decision, fates: Mapping[MessageId, Fate], zone: tzinfo, name: str) -> list[str]:
    where = " · ".join(part for part in (decision.journey, decision.key, decision.step) if part)
    lines = [
        f"{_local(decision.at, zone)} {name} ({decision.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC)  {where}",
        f"  {headline(decision)}",
        *(f"    {line}" for line in gate_lines(decision, zone)),
        f"    because of {decision.input_id}; rule set {decision.ruleset[:12]}",
    ]
    if decision.message_id is not None:
        lines.append(f"    message {decision.message_id}: {_fate(fates.get(decision.message_id), zone)}")
    return lines


def _fate(fate: Fate | None, zone: tzinfo) -> str:
    if fate is None:
        return "dispatch has not taken it in yet"
    parts = [fate.state, f"to {fate.recipient}" if fate.recipient else "", f"template {fate.template}" if fate.template else ""]
    if fate.ended_at is not None:
        parts.append(f"on {_local(fate.ended_at, zone)}")
    elif fate.due_at is not None:
        parts.append(f"next on {_local(fate.due_at, zone)}")
    if fate.attempt > 1:
        parts.append(f"after {fate.attempt} attempts")
    parts += [fate.reason or "", fate.detail or ""]
    return ", ".join(part for part in parts if part)


def _local(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def _kin(document: CustomerDocument) -> dict[str, object]:
    kin = {"merged_into": document.merged_into, "merged_from": document.merged_from, "refused_merges": document.refused_merges}
    return {name: msgspec.to_builtins(value) for name, value in kin.items() if value}


def _as_json(story: Story) -> bytes:
    rows = [
        {
            **msgspec.to_builtins(decision),
            "delivery": None if decision.message_id is None else msgspec.to_builtins(story.fates.get(decision.message_id)),
        }
        for decision in story.decisions
    ]
    document = story.document
    return msgspec.json.encode(
        {"customer": document.customer, "stage": document.stage, "timezone": document.timezone, "decisions": rows, **_kin(document)}
    )
