"""The matrix's aiohttp server: `python -m tests.support.matrix_aiohttp PORT`."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import WSMsgType, web

from tests.support.servers import LARGE


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read() or b'{"n": 1}', content_type="application/json")


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for index in range(5):
        await response.write(b"data: %d\n\n" % index)
        await asyncio.sleep(0.02)
    await response.write_eof()
    return response


async def empty(_request: web.Request) -> web.Response:
    return web.Response(status=204)


async def same(_request: web.Request) -> web.Response:
    return web.Response(status=304, headers={"etag": '"1"'})


async def large(_request: web.Request) -> web.Response:
    response = web.Response(body=LARGE)
    response.enable_compression()
    return response


async def twice(_request: web.Request) -> web.Response:
    response = web.Response(body=b"twice")
    response.headers.add("Set-Cookie", "a=1")
    response.headers.add("Set-Cookie", "b=2")
    return response


async def headers(request: web.Request) -> web.Response:
    return web.Response(body=b"\n".join(b"%b: %b" % pair for pair in request.raw_headers))


async def ws(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


def main(port: int) -> None:
    app = web.Application(client_max_size=1 << 28)
    app.router.add_route("*", "/echo", echo)
    for path, handler in {"stream": stream, "events": stream, "empty": empty, "same": same,
                          "large": large, "twice": twice, "headers": headers, "ws": ws}.items():  # fmt: skip
        app.router.add_get(f"/{path}", handler)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
