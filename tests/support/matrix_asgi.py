"""The matrix's server for uvicorn: FastAPI, as users write it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from starlette.responses import StreamingResponse

from tests.support.servers import LARGE

app = FastAPI()


@app.api_route("/echo", methods=["GET", "POST", "PUT", "HEAD"])
async def echo(request: Request) -> Response:
    return Response(await request.body() or b'{"n": 1}', media_type="application/json")


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(_parts(b"part %d\n"), media_type="text/plain")


@app.get("/events")
async def events() -> StreamingResponse:
    return StreamingResponse(_parts(b"data: %d\n\n"), media_type="text/event-stream")


async def _parts(pattern: bytes) -> AsyncIterator[bytes]:
    for index in range(5):
        yield pattern % index
        await asyncio.sleep(0.02)


@app.get("/empty", status_code=204)
async def empty() -> Response:
    return Response(status_code=204)


@app.get("/same")
async def same() -> Response:
    return Response(status_code=304, headers={"etag": '"1"'})


@app.get("/twice")
async def twice() -> Response:
    response = Response(b"twice")
    response.headers.append("set-cookie", "a=1")
    response.headers.append("set-cookie", "b=2")
    return response


@app.get("/headers")
async def headers(request: Request) -> Response:
    return Response(b"\n".join(b"%b: %b" % pair for pair in request.headers.raw))


@app.get("/large")
async def large() -> Response:
    return Response(LARGE, media_type="application/octet-stream")


@app.websocket("/ws")
async def ws(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        return
