"""Traffic for the model of the end-to-end tests: rows at a rate, until told to stop; then what came back.

    python load.py URL RATE SECONDS [SHIFT]

Every request is a connection of its own, as through a load balancer. Prints one JSON line at the end.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
import urllib.request

ROWS = 10


def row(generator: random.Random, shift: float) -> dict[str, object]:
    """One flight."""
    return {
        "delay": round(generator.gauss(8 + shift, 15), 1),
        "carrier": generator.choice(["AA", "DL", "UA"]),
    }


def answers(url: str) -> None:
    """Wait until the Service leads anywhere: a pod is ready a moment before the node knows its way to it."""
    for _ in range(100):
        try:
            urllib.request.urlopen(url.rsplit("/", 1)[0] + "/healthz", timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return


def main() -> None:
    """Run."""
    url, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    shift = float(sys.argv[4]) if len(sys.argv) > 4 else 0.0
    generator = random.Random(int(time.time()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    answers(url)
    sent = failed = 0
    errors: dict[str, int] = {}
    began = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        body = json.dumps({"instances": [row(generator, shift) for _ in range(ROWS)]}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        sent += 1
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                if len(json.load(answer)["predictions"]) != ROWS:
                    raise ValueError("short answer")
        except Exception as error:  # noqa: BLE001 - whatever it is, the request failed
            failed += 1
            key = f"{type(error).__name__}: {error}"[:120]
            errors[key] = errors.get(key, 0) + 1
        time.sleep(max(0.0, sent / rate - (now - began)))
    print(json.dumps({"sent": sent, "failed": failed, "errors": errors}), flush=True)


if __name__ == "__main__":
    main()
