"""Compiled templates by their version, loaded from the store of bundles; a bounded cache, since a version never changes."""

from collections import OrderedDict
from typing import Protocol

from services.contracts.errors import RenderFailed
from services.contracts.ids import ContentHash
from services.dispatch.bundle import TemplateBundle
from services.runtime import bundles
from services.runtime.database import Database

_REMEMBERED = 128


class Templates(Protocol):
    """Where compiled templates come from."""

    async def get(self, version: ContentHash | None) -> TemplateBundle:
        """Return a version. Raises `RenderFailed` (`code="template_missing"`) where there is none, `DatabaseUnavailable`."""


class StoredTemplates:
    """Templates of the table `bundles`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._compiled: OrderedDict[ContentHash, TemplateBundle] = OrderedDict()

    async def get(self, version: ContentHash | None) -> TemplateBundle:
        """Return a version, compiled once."""
        if version is None:
            raise RenderFailed("the message names no version of its template", code="template_missing")
        if version not in self._compiled:
            self._compiled[version] = await self._load(version)
            if len(self._compiled) > _REMEMBERED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(version)
        return self._compiled[version]

    async def _load(self, version: ContentHash) -> TemplateBundle:
        async with self._database.reading() as connection:
            files = await bundles.load(connection, version)
        if files is None:
            raise RenderFailed(f"no template of version {version[:12]} is stored: run `povod rules apply`", code="template_missing")
        return TemplateBundle(files)
