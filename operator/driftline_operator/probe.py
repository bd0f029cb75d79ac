"""`driftline-operator probe URL…`: do the programs answer from here? What `helm test` runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import aiohttp

_TRIES = 10
_PAUSE = 2.0


async def probe(urls: Sequence[str]) -> int:
    """0 where each answers 200 within some tries; says of each how it went."""
    answers = await asyncio.gather(*(_probe(url) for url in urls))
    for url, said in zip(urls, answers, strict=True):
        sys.stderr.write(f"{url}: {said or 'ok'}\n")
    return int(any(answers))


async def _probe(url: str) -> str:
    """What is wrong; empty: nothing. The certificate isn't checked: whether it answers is asked, no more."""
    said = ""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE)
            try:
                async with session.get(url, ssl=False) as answer:
                    said = "" if answer.status == 200 else f"{answer.status} {(await answer.text())[:200]}"
            except (aiohttp.ClientError, TimeoutError) as error:
                said = str(error) or type(error).__name__
            if not said:
                return ""
    return said
