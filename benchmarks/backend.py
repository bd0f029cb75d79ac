"""The model server of the relay benchmarks: reads a whole request, answers with a small JSON prediction.

    python -m benchmarks.backend PORT

A raw uvloop protocol, so that it costs the shared core as little as Python can.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

BODY = b'{"predictions":[{"prediction":0,"score":0.25}]}'
RESPONSE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
    + b"%d" % len(BODY)
    + b"\r\n\r\n"
    + BODY
)


class Backend(asyncio.Protocol):
    """Finds the end of each request by its Content-Length (wrk and every proxy here send one, or chunks)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.head = b""
        self.left = 0
        self.chunked = False

    def data_received(self, data: bytes) -> None:
        while data:
            if self.chunked:
                data = self._chunks(data)
            elif self.left:
                taken = min(self.left, len(data))
                self.left -= taken
                data = data[taken:]
                if not self.left:
                    self.transport.write(RESPONSE)
            else:
                data = self._head(data)

    def _head(self, data: bytes) -> bytes:
        """Take a head off `data`; returns what follows it."""
        head, end, rest = (self.head + data).partition(b"\r\n\r\n")
        if not end:
            self.head = head
            return b""
        self.head = b""
        fields = head.lower()
        at = fields.find(b"\r\ncontent-length:")
        if at >= 0:
            self.left = int(fields[at + 17 :].split(b"\r\n", 1)[0])
        self.chunked = b"\r\ntransfer-encoding: chunked" in fields
        if not self.left and not self.chunked:
            self.transport.write(RESPONSE)
        return rest

    def _chunks(self, data: bytes) -> bytes:
        """Swallow chunks; the last one is only looked for at the end of what came (no peer pipelines)."""
        self.head = (self.head + data)[-5:]
        if self.head == b"0\r\n\r\n":
            self.chunked, self.head = False, b""
            self.transport.write(RESPONSE)
        return b""


async def main(port: int) -> None:
    """Listen until the end."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Backend, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
