"""What the tests of dispatch stand on: a desk for the journal, a post for the whole service, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.database import Database
from tests.dispatch_desk import Desk
from tests.dispatch_post import Post


@pytest.fixture
def desk(database: Database) -> Desk:
    """Return a desk over an empty database."""
    return Desk(database)


@pytest.fixture
async def post(database: Database, tmp_path: Path) -> AsyncIterator[Post]:
    """Return everything, running."""
    post = Post(database, tmp_path)
    await post.open()
    post.start()
    yield post
    await post.close()
