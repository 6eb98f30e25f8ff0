"""The dispatch service stopped in the middle of its work, gently and not."""

import asyncio
from pathlib import Path

from services.runtime.database import Database
from tests.dispatch_builders import make_message
from tests.dispatch_post import UNDER_WAY, Post


async def test_a_graceful_stop_finishes_what_is_under_way_and_gives_the_rest_back(post: Post) -> None:
    """A stop in the middle of a backlog leaves every message sent or queued with its attempts, none sending; a restart sends the rest."""
    count = 300
    await post.send(*(make_message(f"m-{n:03}", customer=f"c{n}", template_version=post.version) for n in range(count)))
    await post.inbox.wait_for(20)
    await post.stop()
    rows = await post.rows()
    states = {row.state for row in rows}
    sent = [row for row in rows if row.state == "sent"]
    assert states <= {"sent", "queued"}
    assert len(sent) == len(post.inbox.mails)
    assert all(row.attempt == (row.state == "sent") for row in rows)
    post.start()
    async with asyncio.timeout(30):
        await post.inbox.wait_for(count)
    await post.settled(*(f"m-{n:03}" for n in range(count)))
    assert len({mail.content.split(b"\r\n", 1)[0] for mail in post.inbox.mails}) == len(post.inbox.mails) == count
    assert len(await post.outcomes()) == count


async def test_a_killed_service_leaves_at_most_ambiguous_rows(postgres_database: Database, tmp_path: Path) -> None:
    """A service that dies while sending (its tasks are cut off) is continued by the next run: all are delivered once or twice."""
    count = 200
    post = Post(postgres_database, tmp_path)
    await post.open()
    post.start()
    await post.send(*(make_message(f"m-{n:03}", customer=f"c{n}", template_version=post.version) for n in range(count)))
    await post.inbox.wait_for(10)
    running = post._running
    assert running is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    post._running = None
    post.start()
    await post.settled(*(f"m-{n:03}" for n in range(count)), states=UNDER_WAY)
    rows = await post.rows()
    assert {row.state for row in rows} == {"sent"}
    counts: dict[str, int] = {}
    for mail in post.inbox.mails:
        name = mail.content.split(b"\r\n", 1)[0].decode().removeprefix("Message-ID: <").removesuffix("@localhost>")
        counts[name] = counts.get(name, 0) + 1
    assert sorted(counts) == sorted(row.message_id for row in rows)
    assert all(counts[row.message_id] <= 1 + bool(row.ambiguous) for row in rows)
    await post.close()
