"""What the ingest service is made of: its composition root fills this in, nothing here is looked up or built behind its back."""

from collections.abc import Callable
from dataclasses import dataclass

from services.consent.tokens import TokenSigner
from services.contracts.catalogue import Catalogue
from services.ingest.keyring import KeyRing
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.eventlog.port import EventLog
from services.runtime.health import HealthState
from services.runtime.settings import IngestSettings
from services.runtime.telemetry.metrics import Metrics


@dataclass(frozen=True)
class IngestParts:
    """The collaborators of `create_app`.

    `keys.run` must run as a service beside the server. `on_unsubscribed` is called after a customer's statement (an unsubscription, a
    confirmation, preferences) is committed: it wakes the relay of the event outbox where that runs in the same process.
    """

    log: EventLog
    database: Database
    keys: KeyRing
    clock: Clock
    settings: IngestSettings
    signer: TokenSigner
    metrics: Metrics
    catalogue: Catalogue
    health: HealthState
    on_unsubscribed: Callable[[], None]
