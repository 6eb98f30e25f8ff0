"""Povod: event-driven trigger messaging.

Each folder here is one part of the service; `docs/architecture.md` draws them. The direction of imports is
`ingest | rules | dispatch | authoring` over `consent` over `runtime` over `contracts`; `commands` and `cli` compose them.
"""

__version__ = "0.1.0"
