"""The clients, and the scenarios that each of them plays."""

from typing import Literal, NamedTuple

from tests.clients.proxy import Cut, Fault, Lose, Refuse

Home = Literal["family", "cdp", "node", "browser"]
"""Where a client is installed: one of two Python environments, Node, or a page in Chromium (its packages come from npm too)."""


class Client(NamedTuple):
    """One client, or one way of using it.

    `driver` names its script, `options` what the script is told. `corrects`: it says when it sent, so that its clock may be wrong.
    """

    name: str
    home: Home
    driver: str
    options: tuple[str, ...] = ()
    corrects: bool = True
    endures: frozenset[str] = frozenset({"refused", "limited", "lost", "killed"})
    """The faults after which it tries again. The others are its own losses: posthog-js never repeats a 429,
    cdp-analytics-browser takes any answer for a yes (also the 503 of a process that has just started), a beacon has none."""
    most: int = 1000
    """Events that it is given at once. Fewer where it throws away what its queue has no room for, or where one
    request with all of them would be over a request's limit: posthog-js says 1.3 KB an event."""
    hears: bool = False
    """Its protocol tells it of one bad event, the others of the batch being taken."""


CLIENTS = (
    Client("segment-python", "family", "drive_segment"),
    Client("rudder-python", "family", "drive_rudder"),
    Client("cdp-python", "cdp", "drive_cdp"),
    Client("posthog-python", "family", "drive_posthog", ("v0",)),
    Client("posthog-python-v1", "family", "drive_posthog", ("v1",), hears=True),
    Client("track-python", "family", "drive_track", corrects=False, hears=True),
    Client("cloudevents-python-binary", "family", "drive_cloudevents", ("binary",), corrects=False, hears=True),
    Client("cloudevents-python-structured", "family", "drive_cloudevents", ("structured",), corrects=False, hears=True),
    Client("cloudevents-python-batch", "family", "drive_cloudevents", ("batch",), corrects=False),
    Client("segment-node", "node", "drive_segment"),
    Client("cdp-node", "node", "drive_segment", ("cdp",), corrects=False),
    Client("rudder-node", "node", "drive_rudder"),
    Client("posthog-node", "node", "drive_posthog"),
    Client("cloudevents-node-binary", "node", "drive_cloudevents", ("binary",), corrects=False, hears=True),
    Client("cloudevents-node-structured", "node", "drive_cloudevents", ("structured",), corrects=False, hears=True),
    Client("cloudevents-node-batch", "node", "drive_cloudevents", ("batch",), corrects=False),
    Client("segment-browser", "browser", "analytics_next"),
    Client("segment-browser-batching", "browser", "analytics_next", ("batching",)),
    Client("rudder-browser", "browser", "rudder", most=80),
    Client("rudder-browser-beacon", "browser", "rudder", ("beacon", "leaves"), most=20, endures=frozenset()),
    Client("cdp-browser", "browser", "cdp", endures=frozenset({"lost"})),
    Client("povod-browser", "browser", "povod", most=900),
    Client("posthog-browser", "browser", "posthog", most=300, endures=frozenset({"refused", "lost", "killed"})),
)


class Scenario(NamedTuple):
    """What a client does, and what happens to its requests on the way; `skew` (seconds) is how wrong its clock is."""

    name: str
    events: int
    story: bool = False
    pace: float = 0.0
    faults: tuple[Fault, ...] = ()
    skew: int = 0


CALM = Scenario("calm", 1000, story=True, skew=-7200)
"""The whole story on a good day, told by a clock that is two hours slow."""
KILLED = Scenario("killed", 60, pace=0.2)
"""Twelve seconds of events, while ingest is killed and started again."""
THROTTLED = Scenario("throttled", 110, pace=0.02)
"""Fifty events a second with a key that may post `SLOW_RATE`: the refusals are Povod's own. Servers' clients only."""
SLOW_RATE = 12
FAULTY = (
    Scenario("refused", 30, faults=(Refuse(503), Refuse(503), Refuse(503, 1))),
    Scenario("limited", 30, faults=(Refuse(429, 1), Refuse(429, 1))),
    Scenario("lost", 30, faults=(Lose(), Cut(), Lose())),
)
