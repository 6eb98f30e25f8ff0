"""E-mail by SMTP (aiosmtplib) over a few connections that are kept open and reused; one recipient a mail."""

import asyncio
import re
from contextlib import suppress
from datetime import timedelta

import aiosmtplib

from services.contracts.errors import InvalidSettings
from services.contracts.ids import Channel
from services.dispatch.channels.mime import Mailbox, compose, mailbox
from services.dispatch.channels.port import Answer, Reject, Rendered, Retry
from services.dispatch.channels.smtp_answers import Stage, answer_after_content, answer_before_content, answer_of
from services.runtime.clock import Clock
from services.runtime.settings import SmtpSettings

_FAILURES = (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError)
_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>()\[\],;:\\\"]+@[^\x00-\x20\x7f<>()\[\],;:\\\"@]+")
_LONGEST_ADDRESS = 254


class SmtpSender:
    """Hands mails to one SMTP server. Message-ID is `<message id@domain of the sender>`, the same in every attempt."""

    channel = Channel("email")
    provider = "smtp"
    at_most_once = False

    def __init__(self, settings: SmtpSettings, clock: Clock) -> None:
        """Raises `InvalidSettings` where the settings' sender is no mail address."""
        self._settings = settings
        self._clock = clock
        self._sender = _sender_of(settings)
        self._idle: list[SmtpConnection] = []

    @property
    def concurrency(self) -> int:
        """Return the number of connections."""
        return self._settings.connections

    @property
    def patience(self) -> timedelta:
        """Return the longest a mail takes: up to the content, and from there to the server's answer."""
        return 2 * self._settings.timeout

    async def send(self, message: Rendered) -> Answer:
        """Hand one mail over."""
        try:
            recipient = envelope_address(message.recipient)
        except ValueError as error:
            return Reject(reason="address_invalid", kind="recipient", detail=str(error))
        try:
            mail = compose(message, self._sender, self._clock.now())
        except ValueError as error:
            return Reject(reason="unsendable", kind="content", detail=str(error))
        connection = self._idle.pop() if self._idle else SmtpConnection(self._settings, self._sender)
        try:
            answer = await connection.deliver(recipient, mail)
        except asyncio.CancelledError:
            connection.drop()
            raise
        self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Say goodbye on every idle connection."""
        while self._idle:
            await self._idle.pop().quit()


class SmtpConnection:
    """One connection, opened when needed, renewed after so many mails or when the server has closed it."""

    def __init__(self, settings: SmtpSettings, sender: Mailbox) -> None:
        self._settings = settings
        self._sender = sender
        self._timeout = settings.timeout.total_seconds()
        self._client: aiosmtplib.SMTP | None = None
        self._mails = 0

    async def deliver(self, recipient: str, mail: bytes) -> Answer:
        """Deliver one mail. Never raises but for cancellation."""
        try:
            async with asyncio.timeout(self._timeout):
                refusal = await self._announce(recipient)
        except _FAILURES as error:
            self.drop()
            return answer_before_content(error)
        if refusal is not None:
            return await self._after_refusal(refusal)
        return await self._hand_over(mail)

    async def quit(self) -> None:
        """Close politely; harmless where it is closed."""
        if self._client is not None and self._client.is_connected:
            with suppress(*_FAILURES):
                async with asyncio.timeout(1):
                    await self._client.quit()
        self.drop()

    def drop(self) -> None:
        """Close at once."""
        if self._client is not None:
            self._client.close()
        self._client = None
        self._mails = 0

    async def _announce(self, recipient: str) -> Answer | None:
        """Get as far as the server's 354; return its refusal, None where it waits for the content."""
        client = await self._connected()
        refusal = await self._begin(client)
        if self._mails and (refusal is None or isinstance(refusal, Retry)) and not client.is_connected:
            self.drop()  # it closed between two mails, as large providers do, with a 421 or without a word: that is no failure
            client = await self._connected()
            refusal = await self._begin(client)
        if refusal is None and not client.is_connected:
            raise aiosmtplib.SMTPServerDisconnected("closed at MAIL")
        return refusal or await _ask(client, "rcpt", b"RCPT", f"TO:<{recipient}>".encode()) or await _ask(client, "data", b"DATA")

    async def _begin(self, client: aiosmtplib.SMTP) -> Answer | None:
        try:
            return await _ask(client, "mail", b"MAIL", f"FROM:<{self._sender.address}>".encode())
        except aiosmtplib.SMTPServerDisconnected:
            if not self._mails:
                raise
            return None

    async def _hand_over(self, mail: bytes) -> Answer:
        protocol = self._client.protocol if self._client else None
        try:
            if protocol is None:
                raise aiosmtplib.SMTPServerDisconnected("closed before the content")
            protocol.write(mail.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            reply = await protocol.read_response(timeout=self._timeout)
        except _FAILURES as error:
            self.drop()
            return answer_after_content(error)
        self._mails += 1
        if self._mails >= self._settings.messages_per_connection or reply.code == 421:
            await self.quit()
        return answer_of("content", reply.code, reply.message)

    async def _after_refusal(self, refusal: Answer) -> Answer:
        """Make the connection fit for the next mail."""
        try:
            if self._client is not None and self._client.is_connected:
                await self._client.rset()
                self._mails += 1
        except _FAILURES:
            self.drop()
        return refusal

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is None or not self._client.is_connected:
            self.drop()
            self._client = client = self._new_client()
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        return self._client

    def _new_client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username or None,
            password=settings.password.get_secret_value() or None,
            local_hostname=self._sender.domain,
            timeout=self._timeout,
            use_tls=settings.tls == "implicit",
            start_tls=settings.tls == "starttls",
        )


def _sender_of(settings: SmtpSettings) -> Mailbox:
    try:
        return mailbox(settings.sender)
    except ValueError as error:
        raise InvalidSettings(f"[dispatch.smtp] sender: {error}; write it as `Shop <hello@shop.example>`") from error


def envelope_address(address: str) -> str:
    """Return an address fit for RCPT TO, its domain in ASCII (IDNA); raises `ValueError` for anything that is none.

    Control characters and blanks are refused, not cut off: nothing after a line break may become a command. A local part beyond ASCII
    needs SMTPUTF8, which is not offered.
    """
    local, _, domain = address.rpartition("@")
    if not _ADDRESS.fullmatch(address) or len(address) > _LONGEST_ADDRESS or not local.isascii():
        raise ValueError("not a mail address that can be written to")
    return f"{local}@{domain.encode('idna').decode('ascii')}"


async def _ask(client: aiosmtplib.SMTP, stage: Stage, *command: bytes) -> Answer | None:
    """Send a verb; return what its refusal means, None where the server agrees."""
    reply = await client.execute_command(*command)
    agreed = reply.code == 354 if stage == "data" else 200 <= reply.code < 300
    return None if agreed else answer_of(stage, reply.code, reply.message)
