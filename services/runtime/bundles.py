"""Content-addressed store of rule sets and templates: files by name, under the hash of their content. Table `bundles` (owner: runtime).

Written by `povod rules apply` and `povod serve`, read by rules (kind `ruleset`) and dispatch (kind `template`). Never changed, so
whatever names a hash finds for ever what it meant.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.ids import ContentHash

BundleKind = Literal["ruleset", "template"]
_SAVE = text(
    "INSERT INTO bundles (hash, kind, name, files, created_at) VALUES (:hash, :kind, :name, :files, :created_at)"
    " ON CONFLICT (hash) DO NOTHING"
)
_LOAD = text("SELECT files FROM bundles WHERE hash = :hash")


def hash_of(files: Mapping[str, str]) -> ContentHash:
    """Return the hash of a bundle: SHA-256 over its files in the order of their names."""
    return ContentHash(hashlib.sha256(_canonical(files)).hexdigest())


async def save(connection: AsyncConnection, kind: BundleKind, name: str, files: Mapping[str, str], created_at: int) -> ContentHash:
    """Store a bundle unless it is there; return its hash. `created_at` in microseconds."""
    content_hash = hash_of(files)
    await connection.execute(
        _SAVE,
        {"hash": content_hash, "kind": kind, "name": name, "files": _canonical(files).decode(), "created_at": created_at},
    )
    return content_hash


async def load(connection: AsyncConnection, content_hash: ContentHash) -> dict[str, str] | None:
    """Return a bundle's files, or None where no such hash is stored."""
    row = (await connection.execute(_LOAD, {"hash": content_hash})).one_or_none()
    return None if row is None else msgspec.json.decode(row.files, type=dict[str, str])


def _canonical(files: Mapping[str, str]) -> bytes:
    return msgspec.json.encode(dict(files), order="sorted")
