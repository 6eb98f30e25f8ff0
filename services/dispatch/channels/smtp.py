"""E-mail by SMTP (aiosmtplib) over a few connections that are kept open and reused; one recipient a mail."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import aiosmtplib

from services.contracts.errors import InvalidSettings
from services.contracts.ids import Channel
from services.dispatch.channels.mime import Mailbox, compose, mailbox
from services.dispatch.channels.port import Answer, Reject, Rendered, Retry
from services.dispatch.channels.smtp_answers import Stage, answer_after_content, answer_before_content, answer_of
from services.dispatch.channels.smtp_dialog import Dialog, Reply
from services.runtime.clock import Clock
from services.runtime.settings import SmtpSettings

_FAILURES = (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError)
_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>()\[\],;:\\\"]+@[^\x00-\x20\x7f<>()\[\],;:\\\"@]+")
_LONGEST_ADDRESS = 254
_STAGES: tuple[Stage, ...] = ("mail", "rcpt", "data")
_GO_ON = 354
_CLOSING = 421


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
        self._dialog: Dialog | None = None
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
        if self._dialog is not None and self._dialog.is_open:
            with suppress(*_FAILURES):
                async with asyncio.timeout(1):
                    await self._dialog.ask(b"QUIT\r\n")
        self.drop()

    def drop(self) -> None:
        """Close at once."""
        if self._client is not None:
            self._client.close()
        self._client = self._dialog = None
        self._mails = 0

    async def _announce(self, recipient: str) -> Answer | None:
        """Get as far as the server's 354; return its refusal, None where it waits for the content."""
        dialog = await self._connected()
        is_reused = self._mails > 0
        try:
            refusal = await self._ask_to_take(dialog, recipient)
        except aiosmtplib.SMTPServerDisconnected:
            if not is_reused:
                raise
            refusal = None
        if is_reused and (refusal is None or isinstance(refusal, Retry)) and not dialog.is_open:
            self.drop()  # it closed between two mails, as large providers do, with a 421 or without a word: that is no failure
            dialog = await self._connected()
            refusal = await self._ask_to_take(dialog, recipient)
        if refusal is None and not dialog.is_open:
            raise aiosmtplib.SMTPServerDisconnected("closed before the content")
        return refusal

    async def _ask_to_take(self, dialog: Dialog, recipient: str) -> Answer | None:
        replies = await dialog.ask(f"MAIL FROM:<{self._sender.address}>\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode(), b"DATA\r\n")
        refusal = _refusal_of(replies)
        if refusal is not None and len(replies) == len(_STAGES) and replies[-1].code == _GO_ON:
            dialog.close()  # it waits for the content of a mail without a recipient
        return refusal

    async def _hand_over(self, mail: bytes) -> Answer:
        try:
            if self._dialog is None:
                raise aiosmtplib.SMTPServerDisconnected("closed before the content")
            self._dialog.send(mail.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            async with asyncio.timeout(self._timeout):
                reply = await self._dialog.reply()
        except _FAILURES as error:
            self.drop()
            return answer_after_content(error)
        self._mails += 1
        if self._mails >= self._settings.messages_per_connection or reply.code == _CLOSING:
            await self.quit()
        return answer_of("content", reply.code, reply.text)

    async def _after_refusal(self, refusal: Answer) -> Answer:
        """Make the connection fit for the next mail."""
        try:
            if self._dialog is not None and self._dialog.is_open:
                async with asyncio.timeout(self._timeout):
                    await self._dialog.ask(b"RSET\r\n")
                self._mails += 1
        except _FAILURES:
            self.drop()
        return refusal

    async def _connected(self) -> Dialog:
        if self._dialog is None or not self._dialog.is_at_rest:
            self.drop()
            self._client = client = self._new_client()
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            self._dialog = Dialog(client)
        return self._dialog

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


def _refusal_of(replies: Sequence[Reply]) -> Answer | None:
    """Return what the first refusal among the replies to MAIL, RCPT and DATA means, None where the server agrees."""
    for stage, reply in zip(_STAGES, replies, strict=False):
        agrees = reply.code == _GO_ON if stage == "data" else 200 <= reply.code < 300
        if not agrees:
            return answer_of(stage, reply.code, reply.text)
    return None
