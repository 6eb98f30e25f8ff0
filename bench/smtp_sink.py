"""A mail server that takes everything and counts it: `python -m bench.smtp_sink PORT`.

It speaks as little SMTP (RFC 5321) as a sender needs, with PIPELINING and 8BITMIME, and one verb of its own: `XCOUNT` answers how many
mails it took and when the first and the last came (seconds of the monotonic clock, which all processes of a machine share).
"""

import asyncio
import sys
import time
from typing import cast

import uvloop

EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 10485760\r\n"
END = b"\r\n.\r\n"


class Counter:
    """How many mails came, and when."""

    def __init__(self) -> None:
        self.mails = 0
        self.first_at = 0.0
        self.last_at = 0.0

    def add(self) -> None:
        """Note one mail."""
        self.last_at = time.monotonic()
        self.first_at = self.first_at or self.last_at
        self.mails += 1


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every whole command and every whole mail in the buffer."""
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        mark = END if self._in_data else b"\r\n"
        head, found, rest = self._buffer.partition(mark)
        if not found:
            return False
        self._buffer = rest
        if self._in_data:
            self._in_data = False
            self._counter.add()
            self._transport.write(b"250 taken\r\n")
        else:
            self._command(head)
        return True

    def _command(self, line: bytes) -> None:
        match line[:4].upper():
            case b"EHLO" | b"HELO":
                self._transport.write(EHLO)
            case b"DATA":
                self._in_data = True
                self._transport.write(b"354 go on\r\n")
            case b"QUIT":
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
            case b"XCOU":
                counter = self._counter
                self._transport.write(f"250 {counter.mails} {counter.first_at:.6f} {counter.last_at:.6f}\r\n".encode())
            case _:
                self._transport.write(b"250 ok\r\n")


async def serve(port: int) -> None:
    """Take mails until killed."""
    counter = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Session(counter), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
