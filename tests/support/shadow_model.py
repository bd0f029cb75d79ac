"""A model server and its candidates, as ASGI: which one it is, MODE in the environment says.

The model says yes where age is above 0, with a score; `age` of a request decides all that is not noise.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
from typing import Any

MODE = os.environ.get("MODE", "equal")
CRASH_AFTER = 60
_random = random.Random(int(os.environ.get("SEED", "0")))
_asked = 0


def answer(mode: str, age: float) -> dict[str, Any]:
    """What the model of that mode says, but for noise."""
    score = 1 / (1 + math.exp(-(age - 0.3 if mode == "retrained" else age)))
    return {"label": "yes" if score > 0.5 else "no", "score": score}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers POST with a record."""
    global _asked  # noqa: PLW0603 - one process, one model
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    _asked += 1
    status, found = 200, answer(MODE, json.loads(body)["age"])
    if MODE == "noisy" and _random.random() < 0.2:
        found["label"] = _random.choice(["yes", "no"])
    if MODE == "errs" and _random.random() < 0.05:
        status = 500
    if MODE == "slow":
        await asyncio.sleep(0.05)
    if MODE == "hang":
        await asyncio.sleep(600)
    if MODE == "crash" and _asked > CRASH_AFTER:
        os._exit(1)
    raw = json.dumps(found).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})
