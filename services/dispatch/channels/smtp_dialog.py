"""Commands and replies on a mail connection, several commands in one go where the server offers PIPELINING (RFC 2920).

aiosmtplib opens the connection (greeting, TLS, EHLO, AUTH); it can't read more than one reply a command, and waits for each. A mail's
envelope as one write and one wait instead of three is worth a quarter of the processor time of a mail, and two round trips.
"""

import asyncio
from collections import deque
from typing import NamedTuple, cast

import aiosmtplib

_LONGEST_REPLY = 64 * 1024
_REFUSED = 400
_CLOSING = 421


class Reply(NamedTuple):
    """A server's reply; the lines of a longer one with line feeds between."""

    code: int
    text: str


class Dialog(asyncio.Protocol):
    """Takes a connected client's connection over. For one task at a time; exceptions are aiosmtplib's."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        """Raises `SMTPServerDisconnected` where the client has no connection any more."""
        if client.protocol is None or client.protocol.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("closed before the first mail")
        self._former = client.protocol
        self._transport = cast("asyncio.Transport", client.protocol.transport)
        self._is_pipelining = client.supports_extension("pipelining")
        self._rest = b""
        self._lines: list[bytes] = []
        self._length = 0
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: aiosmtplib.SMTPException | None = None
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Say whether the connection is there, as far as is known."""
        return self._error is None and not self._transport.is_closing()

    @property
    def is_at_rest(self) -> bool:
        """Say whether a mail may begin: open, and the server has said nothing unasked (a farewell, mostly)."""
        return self.is_open and not (self._replies or self._lines or self._rest)

    async def ask(self, *commands: bytes) -> list[Reply]:
        """Send commands; return their replies, of which the last may be missing after a refusal.

        Raises `SMTPServerDisconnected` where the connection ended before any refusal.
        """
        replies: list[Reply] = []
        if self._is_pipelining:
            self.send(b"".join(commands))
        for command in commands:
            try:
                replies.append(await self._answer(command))
            except aiosmtplib.SMTPServerDisconnected:
                if not _has_refusal(replies):
                    raise
                break
            if replies[-1].code == _CLOSING or (replies[-1].code >= _REFUSED and not self._is_pipelining):
                break
        if replies[-1].code == _CLOSING:
            self.close()
        return replies

    def send(self, data: bytes) -> None:
        """Send bytes. Raises `SMTPServerDisconnected`."""
        if not self.is_open:
            raise self._error or aiosmtplib.SMTPServerDisconnected("the connection is closed")
        self._transport.write(data)

    async def reply(self) -> Reply:
        """Return the next reply. Raises `SMTPServerDisconnected`, `SMTPResponseException` where it was none."""
        while not self._replies:
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._replies.popleft()

    def close(self) -> None:
        """Close the connection; harmless twice."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Read what came into lines and replies."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._length += len(data)
        for line in lines:
            self._read(line.rstrip(b"\r"))
        if self._length > _LONGEST_REPLY:
            self._fail("the reply is too long")
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        self._error = self._error or aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._wake()
        self._former.connection_lost(error)

    async def _answer(self, command: bytes) -> Reply:
        if not self._is_pipelining:
            self.send(command)
        return await self.reply()

    def _read(self, line: bytes) -> None:
        if not line[:3].isdigit():
            return self._fail("the reply does not begin with a code")
        self._lines.append(line[4:].strip())
        if line[3:4] != b"-":
            self._replies.append(Reply(int(line[:3]), b"\n".join(self._lines).decode("utf-8", "surrogateescape")))
            self._lines.clear()
            self._length = len(self._rest)
        return None

    def _fail(self, reason: str) -> None:
        self._error = aiosmtplib.SMTPResponseException(-1, reason)
        self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _has_refusal(replies: list[Reply]) -> bool:
    return any(reply.code >= _REFUSED for reply in replies)
