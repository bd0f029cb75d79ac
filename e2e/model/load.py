"""Traffic for the model of the end-to-end tests: rows at a rate, for a while or until told to stop.

    python load.py URL[,URL…] RATE SECONDS [SHIFT [SEED]]

Several URLs are asked in turn. With a seed the requests are the same each time: `Load("", 0.0, SEED).body()`
tells them one after another. Every request is a connection of its own, as through a load balancer, and one
at a time. At the end, or on SIGTERM, one JSON line says how it went, `failures` with the unix time of each.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from typing import Any

ROWS = 10


class Load:
    """What was sent, and what became of it."""

    def __init__(self, urls: str, shift: float, seed: int | None = None) -> None:
        self.urls, self.shift = urls.split(","), shift
        self.generator = random.Random(int(time.time()) if seed is None else seed)
        self.sent = 0
        self.failures: list[tuple[float, str]] = []
        self.pods: Counter[str] = Counter()
        self.stopped = False

    def stop(self, *_: object) -> None:
        self.stopped = True

    def row(self) -> dict[str, object]:
        """One flight."""
        delay = round(self.generator.gauss(8 + self.shift, 15), 1)
        return {"delay": delay, "carrier": self.generator.choice(["AA", "DL", "UA"])}

    def body(self) -> dict[str, list[dict[str, object]]]:
        """The next request."""
        return {"instances": [self.row() for _ in range(ROWS)]}

    def ask(self) -> None:
        """One request."""
        url = self.urls[self.sent % len(self.urls)]
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(self.body()).encode(), headers)
        began = time.time()
        self.sent += 1
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                said = json.load(answer)
            if len(said["predictions"]) != ROWS:
                raise ValueError("short answer")
            self.pods[said["pod"]] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the request failed
            self.failures.append((began, f"{type(error).__name__}: {error}"[:120]))

    def summary(self) -> dict[str, Any]:
        errors = Counter(word for _, word in self.failures)
        return {
            "sent": self.sent, "failed": len(self.failures), "errors": errors, "pods": self.pods,
            "failures": self.failures[:200],
        }  # fmt: skip


def answers(url: str) -> None:
    """Wait until the Service leads anywhere: a pod is ready a moment before the node knows its way to it."""
    for _ in range(100):
        try:
            urllib.request.urlopen(urllib.parse.urljoin(url, "/healthz"), timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return


def main() -> None:
    """Run."""
    url, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    shift, seed = (*sys.argv[4:6], "0", "")[:2]
    load = Load(url, float(shift), int(seed) if seed else None)
    signal.signal(signal.SIGTERM, load.stop)
    answers(load.urls[0])
    print("begins", flush=True)
    began = time.monotonic()
    while not load.stopped and (now := time.monotonic()) - began < seconds:
        load.ask()
        time.sleep(max(0.0, load.sent / rate - (now - began)))
    print(json.dumps(load.summary()), flush=True)


if __name__ == "__main__":
    main()
