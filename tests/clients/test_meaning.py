"""What a client said is what Povod understood: who, when, and which event it must refuse."""

from datetime import timedelta

import pytest

from tests.clients.campaign import Findings, prefix_of
from tests.clients.catalogue import CALM, Client

pytestmark = [pytest.mark.clients, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(600)]

ROUNDING = timedelta(seconds=1)
"""Some clients send whole seconds."""
AGE = timedelta(hours=1)


def test_an_identified_customer_has_his_traits_and_addresses(findings: Findings, client: Client) -> None:
    """Traits and addresses of `identify` are in the customer's document: the address normalised, the phone in E.164."""
    document = findings.evidence.documents[f"{prefix_of(client, CALM)}.ann"]
    traits = document["traits"]
    assert {name: traits.get(name) for name in ("name", "plan", "visits")} == {"name": "Анна", "plan": "gold", "visits": 7}
    assert document["addresses"] == {"email": "Anna@shop.example", "sms": "+79161234567"}


def test_two_ids_of_one_customer_are_merged(findings: Findings, client: Client) -> None:
    """A visitor who identifies himself, and an alias, each put a merge onto the topic, under the id that is given up."""
    told = findings.played[client.name, CALM.name].told
    assert told.merges != []
    assert [merge for merge in told.merges if merge not in findings.evidence.merges] == []


def test_events_of_a_merged_visitor_go_to_the_customer(findings: Findings, client: Client) -> None:
    """Whatever was decided under another id than it was sent for was decided for the customer whom that visitor became."""
    seen, prefix = findings.evidence, prefix_of(client, CALM)
    events = [event for (_, mark), found in seen.history.items() if mark != "None" for event in found]
    moved = {(event["via"], event["subject"]) for event in events if "via" in event and event["subject"].startswith(f"{prefix}.")}
    assert moved <= seen.merges


def test_times_are_right_by_our_clock(findings: Findings, client: Client) -> None:
    """An event happened when it happened, though the client's clock is two hours slow; one of an hour ago keeps its hour."""
    played = findings.played[client.name, CALM.name]
    last = max(time for marked in sent_of(findings, client) for time in findings.evidence.times(marked))
    for marked in sent_of(findings, client):
        age = AGE if marked[1] == "aged" else timedelta(0)
        for time in findings.evidence.times(marked):
            assert played.began - age - ROUNDING <= time <= max(last, played.ended) - age + ROUNDING, marked
    assert played.began - ROUNDING <= last


def sent_of(findings: Findings, client: Client) -> set[tuple[str, str]]:
    """Return everything sent in the calm scenario."""
    return {(customer, mark) for mark, customer in findings.played[client.name, CALM.name].told.sent.items()}


def test_a_bad_event_among_good_ones_is_refused_alone(findings: Findings, client: Client) -> None:
    """An event of a type that only Povod publishes is no record and no history; it is a dead letter, its neighbours are not."""
    seen, prefix = findings.evidence, prefix_of(client, CALM)
    ann = f"{prefix}.ann"
    assert (ann, "bad") not in seen.records
    assert (ann, "bad") not in seen.history
    assert (ann, "before") in seen.history
    dead = [letter for letter in seen.dead if f"{prefix}." in letter]
    assert len(dead) >= 1  # a request that is repeated after a 503 is judged again
    assert all('"bad"' in letter for letter in dead), dead
