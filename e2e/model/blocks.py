"""Latency of two paths in turns: a block of requests to the one, a block to the other, again and again.

    python blocks.py URL URL RATE SECONDS ROUNDS

Which comes first in a round is a coin's choice; between blocks there is a pause. Over one connection that is
kept, at moments fixed beforehand: a late answer makes the next one later, as for a client that waits.
Prints one JSON line: `blocks`, per round the seconds of each request to the first URL and to the second;
`failed`, requests to the one and the other.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import time
import urllib.parse

from load import Load, answers  # type: ignore[import-not-found]  # beside it in the image

PAUSE = 0.7


class Path:
    """One of the two."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.path = parts.hostname or "", parts.path
        self.port = parts.port or 80
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        self.failed = 0

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
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        body = json.dumps(load.body()).encode()
        due = began + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        took.append(path.ask(body, due))
    time.sleep(PAUSE)
    return took


def main() -> None:
    """Run."""
    paths, (rate, seconds, rounds) = [Path(url) for url in sys.argv[1:3]], map(float, sys.argv[3:6])
    answers(sys.argv[1])
    load, coin = Load("", 0.0, 1), random.Random(2)
    blocks = []
    for _ in range(int(rounds)):
        order = [0, 1] if coin.random() < 0.5 else [1, 0]
        took = {which: block(paths[which], load, rate, seconds) for which in order}
        blocks.append([took[0], took[1]])
    print(json.dumps({"blocks": blocks, "failed": [path.failed for path in paths]}), flush=True)


if __name__ == "__main__":
    main()
