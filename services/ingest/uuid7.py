"""New event ids: UUID version 7 (RFC 9562, section 5.7), sorted by the time at which they were made."""

import secrets
from datetime import datetime
from uuid import UUID

from services.contracts.moments import to_micros

_VERSION = 7 << 76
_VARIANT = 2 << 62


def new_uuid7(at: datetime) -> str:
    """Return a new id made at an aware time: 48 bits of milliseconds, 74 random bits."""
    millis = to_micros(at) // 1000 & (1 << 48) - 1
    random = secrets.randbits(74)
    return str(UUID(int=millis << 80 | _VERSION | (random >> 62) << 64 | _VARIANT | random & (1 << 62) - 1))
