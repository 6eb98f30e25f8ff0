"""Nothing lost, nothing doubled: what a client considers sent is on the topic, and was decided once."""

import pytest

from tests.clients.campaign import Findings, Played
from tests.clients.catalogue import CALM, FAULTY, KILLED, Client, Scenario

pytestmark = [pytest.mark.clients, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(600)]


def played_by(findings: Findings, client: Client, scenario: Scenario) -> Played:
    """Return what a client did, after checking that its client gave nothing up but, where it hears of it, the one bad event."""
    played = findings.played[client.name, scenario.name]
    heard = {"bad"} if client.hears and scenario is CALM else set()
    assert played.told.failed.keys() == heard, (played.told.failed, played.told.said)
    assert len(played.told.sent) >= scenario.events
    return played


def check_delivery(findings: Findings, played: Played) -> None:
    """Assert that every event sent is on the topic and in the history, there once."""
    sent = {(customer, mark) for mark, customer in played.told.sent.items()}
    seen = findings.evidence
    lost = sorted(sent - seen.history.keys())
    assert lost == [], f"{len(lost)} of {len(sent)} are not in the history"
    assert sorted(sent - seen.records.keys()) == []
    assert [marked for marked in sorted(sent) if len(seen.history[marked]) > 1] == []


def test_a_thousand_events_arrive_once(findings: Findings, client: Client) -> None:
    """Every event of a story with a batch of a thousand is on the topic, and once in the history, under its customer."""
    check_delivery(findings, played_by(findings, client, CALM))


@pytest.mark.parametrize("scenario", FAULTY, ids=lambda scenario: scenario.name)
def test_events_arrive_once_through_faults(findings: Findings, client: Client, scenario: Scenario) -> None:
    """Refused for a while, over its rate or cut off before and after the answer, a client loses nothing and nothing counts twice."""
    if scenario.name not in client.endures:
        assert (client.name, scenario.name) not in findings.played
        return
    played = played_by(findings, client, scenario)
    assert played.unmet == 0
    check_delivery(findings, played)


def test_events_arrive_once_though_ingest_is_killed(findings: Findings, client: Client) -> None:
    """Events posted while the ingest process is killed and started again are neither lost nor doubled."""
    assert findings.kills == 2
    check_delivery(findings, played_by(findings, client, KILLED))
