"""Latency of paths in turns: a block of requests to each of them, in rounds.

    python blocks.py RATE SECONDS ROUNDS URL[,BESIDE]...

With BESIDE another client asks that URL as often meanwhile: what a neighbour on the same cores costs. Which
comes first in a round is chance; between blocks there is a pause. Over one connection a block, at moments
fixed beforehand: a late answer makes the next one later, as for a client that waits.
Prints one JSON line: `blocks`, per round and URL the seconds of each request; `failed`, requests per URL.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import random
import sys
import time
import urllib.parse

from load import Load, answers  # type: ignore[import-not-found]  # beside it in the image

PAUSE = 0.7
SETTLE = 0.3
"""For another process to begin."""


class Path:
    """One of them."""

    def __init__(self, urls: str) -> None:
        url, _, self.beside = urls.partition(",")
        parts = urllib.parse.urlsplit(url)
        self.host, self.path = parts.hostname or "", parts.path
        self.port = parts.port or 80
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        self.failed = 0

    def renew(self) -> None:
        """Connect anew: while the others had their turn, the server may have closed what was idle."""
        self.connection.close()
        self.connection.connect()

    def ask(self, body: bytes, due: float) -> float:
        """Seconds from when it was due."""
        try:
            self.connection.request("POST", self.path, body, {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            answer.read()
            self.failed += answer.status != 200
        except (OSError, http.client.HTTPException):
            self.failed += 1
            self.connection.close()
        return time.monotonic() - due


def block(path: Path, load: Load, rate: float, seconds: float) -> list[float]:
    """The seconds that each request took."""
    took = []
    path.renew()
    other = multiprocessing.Process(target=neighbour, args=(path.beside, rate, seconds))
    if path.beside:
        other.start()
        time.sleep(SETTLE)
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        body = json.dumps(load.body()).encode()
        due = began + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        took.append(path.ask(body, due))
    if path.beside:
        other.join()
        path.failed += other.exitcode != 0
    time.sleep(PAUSE)
    return took


def neighbour(url: str, rate: float, seconds: float) -> None:
    """As many requests to another server, each at a moment of its own; an error where one fails."""
    path, load = Path(url), Load("", 0.0, 1)
    path.renew()
    began = time.monotonic() + SETTLE
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, began + (number + random.random()) / rate - time.monotonic()))
        path.ask(json.dumps(load.body()).encode(), 0.0)
    sys.exit(path.failed)


def main() -> None:
    """Run."""
    (rate, seconds, rounds), urls = map(float, sys.argv[1:4]), sys.argv[4:]
    paths = [Path(url) for url in urls]
    answers(urls[0].partition(",")[0])
    load, chance = Load("", 0.0, 1), random.Random(2)
    blocks = []
    for _ in range(int(rounds)):
        order = chance.sample(range(len(paths)), len(paths))
        took = {which: block(paths[which], load, rate, seconds) for which in order}
        blocks.append([took[which] for which in range(len(paths))])
    print(json.dumps({"blocks": blocks, "failed": [path.failed for path in paths]}), flush=True)


if __name__ == "__main__":
    main()
