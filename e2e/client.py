"""A client of the model that says later what was right; run in a pod, with `driftline.client`.

    python client.py MODEL HUB CA TOKEN NAMESPACE NAME SECONDS right|wrong

Ten requests a second, each with an id of its own, and the labels a second later. While the hub is away labels
wait, as their sender would have it. At the end it looks whether the hub has all that was predicted.
Prints one JSON line: `sent`, `failed`, `labels`, `away` (requests made while no label could be sent), `there`
(those of all that the hub has in the end), `missing` (ids of some that it hasn't).
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import NamedTuple

from driftline.client import Hub, HubError
from driftline.prediction_ids import row_id

ROWS, RATE, LABELS_EVERY, COMES_WITHIN = 10, 10.0, 1.0, 90.0


class Options(NamedTuple):
    """The command line."""

    model: str
    hub: str
    ca: str
    token: str
    namespace: str
    name: str
    seconds: str
    labels: str


def rows(number: int) -> list[dict[str, object]]:
    """Half of them late, by the model's rule."""
    return [{"delay": float((7 * number + 11 * row) % 41), "carrier": "UA"} for row in range(ROWS)]


def truth(row: dict[str, object], wrong: bool) -> str:
    """What the model says, or the contrary."""
    late = float(str(row["delay"])) > 20
    return "yes" if late is not wrong else "no"


class Client:
    """What was sent, and what waits."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.hub = Hub(
            options.hub, options.token, namespace=options.namespace, monitor="flights",
            ca_file=options.ca, patience=0.0, timeout=5.0,
        )  # fmt: skip
        self.sent = self.failed = self.labels = 0
        self.waiting: list[tuple[str, str]] = []
        self.fresh = 0
        self.away = 0

    def begin(self) -> None:
        """Wait until the Service leads anywhere: a pod is ready before the node knows its way to it."""
        health = self.options.model.rsplit("/", 1)[0] + "/healthz"
        for _ in range(100):
            try:
                urllib.request.urlopen(health, timeout=2).close()
            except OSError:
                time.sleep(0.2)
            else:
                return

    def ask(self) -> None:
        """One request."""
        identity, instances = f"{self.options.name}-{self.sent}", rows(self.sent)
        body = json.dumps({"instances": instances}).encode()
        headers = {"Content-Type": "application/json", "x-request-id": identity}
        self.sent += 1
        try:
            request = urllib.request.Request(self.options.model, body, headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert len(json.load(answer)["predictions"]) == ROWS
        except Exception as error:  # noqa: BLE001 - whatever it is, the request failed
            print(f"{identity}: {error}", file=sys.stderr)
            self.failed += 1
        self.fresh += 1
        wrong = self.options.labels == "wrong"
        self.waiting += [(row_id(identity, place), truth(row, wrong)) for place, row in enumerate(instances)]

    def tell(self) -> None:
        """The labels that wait."""
        try:
            self.labels += self.hub.labels(self.waiting).accepted
            self.waiting = []
        except HubError as error:
            print(f"labels wait: {error}", file=sys.stderr)
            self.away += self.fresh
        self.fresh = 0

    def there(self, identity: str) -> bool:
        """Has the hub the prediction?"""
        try:
            return bool(self.hub.prediction(identity)["predictions"])
        except HubError:
            return False

    def run(self) -> dict[str, object]:
        """Until the time is over."""
        self.begin()
        began = told = time.monotonic()
        while (now := time.monotonic()) - began < float(self.options.seconds):
            self.ask()
            if now - told > LABELS_EVERY:
                self.tell()
                told = time.monotonic()
            time.sleep(max(0.0, self.sent / RATE - (time.monotonic() - began)))
        self.tell()
        missing = [f"{self.options.name}-{number}" for number in range(self.sent)]
        while missing and time.monotonic() - now < COMES_WITHIN:
            missing = [each for each in missing if not self.there(each)]
            time.sleep(1)
        return {
            "sent": self.sent, "failed": self.failed, "labels": self.labels, "away": self.away,
            "there": self.sent - len(missing), "missing": missing[:10],
        }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(Client(Options(*sys.argv[1:])).run()), flush=True)
