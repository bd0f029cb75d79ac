"""`python -m tests.support.taker SOCKET ack|silent`: takes frames as the analyzer does.

`ack` acknowledges each; `silent` accepts the connection and reads nothing.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from driftline_sidecar.exchange import Exchange
from driftline_sidecar.frames import FrameReader, encode_ack


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    frames, received = FrameReader(), 0
    while data := await reader.read(1 << 20):
        received += sum(isinstance(frame, Exchange) for frame in frames.feed(data))
        writer.write(encode_ack(received))
    writer.close()


async def ignore(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def main(path: Path, mode: str) -> None:
    server = await asyncio.start_unix_server(take if mode == "ack" else ignore, path, limit=1 << 16)
    await server.serve_forever()


if __name__ == "__main__":
    Path(sys.argv[1]).unlink(missing_ok=True)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
