"""Nothing lost, nothing doubled: what a client considers sent is on the topic, and was decided once."""

import pytest

from tests.clients.campaign import KILLS, Findings, Played, events_of
from tests.clients.catalogue import CALM, CLIENTS, FAULTY, KILLED, THROTTLED, Client, Scenario

pytestmark = [pytest.mark.clients, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(600)]


def played_by(findings: Findings, client: Client, scenario: Scenario) -> Played:
    """Return what a client did, after checking that its client gave nothing up but, where it hears of it, the one bad event."""
    played = findings.played[client.name, scenario.name]
    heard = {"bad"} if client.hears and scenario is CALM else set()
    assert played.told.failed.keys() == heard, (played.told.failed, played.told.said)
    assert len(played.told.sent) >= events_of(client, scenario)
    return played


def check_delivery(findings: Findings, client: Client, played: Played) -> None:
    """Assert that every event sent is on the topic and in the history, there once.

    A client that never repeats what was refused may lose as many as the server did refuse: it calls them sent.
    """
    sent = {(customer, mark) for mark, customer in played.told.sent.items()}
    seen = findings.evidence
    lost = sorted(sent - seen.history.keys())
    unheeded = 0 if "refused" in client.endures else sum(n for status, n in played.proxy.answers.items() if status >= "400")
    assert lost[unheeded:] == [], f"{len(lost)} of {len(sent)} are not in the history, {dict(played.proxy.answers)}"
    assert set(lost) == sent - seen.records.keys()
    assert [marked for marked in sorted(sent) if len(seen.history.get(marked, ())) > 1] == []


def test_a_thousand_events_arrive_once(findings: Findings, client: Client) -> None:
    """Every event of a story with a batch of a thousand is on the topic, and once in the history, under its customer."""
    check_delivery(findings, client, played_by(findings, client, CALM))


SERVERS = [client for client in CLIENTS if client.home != "browser"]


@pytest.mark.parametrize("client", SERVERS, indirect=True, ids=lambda client: client.name)
def test_events_arrive_once_though_a_key_is_over_its_rate(findings: Findings, client: Client) -> None:
    """A server's client that speaks faster than its key may meets our own 429, comes again, and loses nothing."""
    played = played_by(findings, client, THROTTLED)
    assert played.proxy.answers["429 rate_limited"] >= 1, dict(played.proxy.answers)
    check_delivery(findings, client, played)


FAULTS = [
    pytest.param(client, scenario, id=f"{client.name}-{scenario.name}")
    for client in CLIENTS
    for scenario in (*FAULTY, KILLED)
    if scenario.name in client.endures
]


@pytest.mark.parametrize(("client", "scenario"), FAULTS, indirect=["client"])
def test_events_arrive_once_through_faults(findings: Findings, client: Client, scenario: Scenario) -> None:
    """Refused for a while, over its rate, cut off before or after the answer, with ingest killed twice: nothing lost, nothing doubled."""
    played = played_by(findings, client, scenario)
    assert played.proxy.left == 0
    assert findings.kills >= KILLS
    check_delivery(findings, client, played)
