"""A mail server that keeps what it gets as `.eml` files, and fails when it is told to (aiosmtpd)."""

import asyncio
from collections import defaultdict, deque
from pathlib import Path
from typing import Any, Literal

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

Verb = Literal["mail", "rcpt", "data"]
CLOSE = "close"
"""A scripted answer that is none: the connection is cut, at `data` after the mail has been kept (its answer is lost)."""
HANG = "hang"
"""A scripted answer that never comes."""
DRIP = "drip"
"""A scripted answer that never ends: line after line says that more follows."""
_DROP_SECONDS = 0.05


class KeptMail(msgspec.Struct, frozen=True):
    """A mail as it came."""

    sender: str
    recipient: str
    content: bytes


class SmtpInbox:
    """An SMTP server on the event loop it is started on."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` gets one `.eml` file a mail; None keeps them in memory only."""
        self.mails: list[KeptMail] = []
        self.connections = 0
        self._folder = folder
        self._scripts: defaultdict[Verb, deque[str]] = defaultdict(deque)
        self._server: asyncio.Server | None = None
        self._arrived = asyncio.Event()
        self._open: set[Any] = set()

    @property
    def port(self) -> int:
        """Return the bound port; only while it runs."""
        if self._server is None:
            raise RuntimeError("the inbox is not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; return the bound port (0 asks for a free one)."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.get_running_loop().create_server(self._connection, host, port)
        return self.port

    async def stop(self) -> None:
        """Close every connection and stop listening. Harmless twice."""
        if self._server is not None:
            self._server.close()
            for transport in list(self._open):
                transport.abort()
            await self._server.wait_closed()
            self._server = None

    def script(self, verb: Verb, *answers: str) -> None:
        """Give the next uses of a verb these answers, e.g. `"450 4.2.1 later"`, `CLOSE` or `HANG`; an empty one is the usual answer."""
        self._scripts[verb].extend(answers)

    def close_connections(self) -> None:
        """Cut all connections, as a server does that has had enough of an idle one."""
        for transport in list(self._open):
            transport.abort()

    async def wait_for(self, count: int) -> None:
        """Return once that many mails have come in all."""
        while len(self.mails) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def handle_MAIL(self, server: "_Connection", _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's
        """Answer MAIL."""
        scripted = await self._scripted("mail", server)
        if scripted is not None:
            return scripted
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: "_Connection", _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's
        """Answer RCPT."""
        scripted = await self._scripted("rcpt", server)
        if scripted is not None:
            return scripted
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: "_Connection", _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Keep the mail, unless the script refuses it, then answer."""
        answer = self._next("data")
        if answer in {None, CLOSE, HANG, DRIP}:
            self._keep(envelope)
        return await _perform(answer, server) or f"250 2.0.0 kept as {len(self.mails)}"

    def _connection(self) -> "_Connection":
        self.connections += 1
        return _Connection(self, self._open)

    def _keep(self, envelope: Envelope) -> None:
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        self.mails.append(KeptMail(envelope.mail_from or "", envelope.rcpt_tos[0], content))
        if self._folder is not None:
            (self._folder / f"{len(self.mails):05d}.eml").write_bytes(content)
        self._arrived.set()

    def _next(self, verb: Verb) -> str | None:
        script = self._scripts[verb]
        return (script.popleft() or None) if script else None

    async def _scripted(self, verb: Verb, server: "_Connection") -> str | None:
        return await _perform(self._next(verb), server)


class _Connection(SMTP):
    """One connection; known to the inbox while it is open."""

    def __init__(self, inbox: SmtpInbox, open_connections: set[Any]) -> None:
        super().__init__(inbox, hostname="inbox.localhost", ident="Povod inbox", enable_SMTPUTF8=False)
        self._open_connections = open_connections

    def connection_made(self, transport: Any) -> None:
        self._open_connections.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_connections.discard(self.transport)
        super().connection_lost(error)

    def cut(self) -> None:
        """Cut the connection without a word."""
        for transport in self._open_connections & {self.transport}:
            transport.abort()

    async def drip(self) -> None:
        """Answer without end."""
        while True:
            await self.push("250-more")
            await asyncio.sleep(_DROP_SECONDS)


async def _perform(answer: str | None, server: _Connection) -> str | None:
    """Do what a scripted answer says; return what is left to say."""
    if answer == HANG:
        await asyncio.Event().wait()
    if answer == DRIP:
        await server.drip()
    if answer == CLOSE:
        server.cut()
        return "421 closing"
    return answer
