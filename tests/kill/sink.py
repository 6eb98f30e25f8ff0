"""The recording sink: an SMTP server that remembers, for every Message-ID, how often and when it took the mail over."""

import re
from collections import Counter
from email import message_from_bytes
from typing import Any

from aiosmtpd.controller import Controller

_TOKEN = re.compile(r"<[^<>]*(/u/[^<>]+)>")


class RecordingSink:
    """Runs in a thread of the harness, which is never killed; `delivered` counts by message id."""

    def __init__(self, port: int) -> None:
        self.delivered: Counter[str] = Counter()
        self.unsubscribe_paths: dict[str, str] = {}
        self._controller = Controller(self, hostname="127.0.0.1", port=port, ready_timeout=10)

    def start(self) -> None:
        """Listen."""
        self._controller.start()

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Remember the mail before it is acknowledged."""
        mail = message_from_bytes(envelope.content)
        message_id = str(mail["Message-ID"]).strip("<> ").partition("@")[0]
        self.delivered[message_id] += 1
        if found := _TOKEN.search(str(mail["List-Unsubscribe"] or "").replace("\r\n", "")):
            self.unsubscribe_paths[envelope.rcpt_tos[0]] = found.group(1)
        return "250 OK"
