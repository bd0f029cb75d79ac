"""`driftline labels push`: send a file of labels to the hub, going on where an earlier run was broken off."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import re
import ssl
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from driftline.client import Hub, HubError, Refused
from driftline.client.calls import PATIENCE
from driftline.client.steps import BATCH
from driftline.errors import DataError, DriftlineError
from driftline.events import MOST_EVENTS, Label

from driftline_cli.dataset import say
from driftline_cli.exits import EX_DATAERR, EX_OK, EX_UNAVAILABLE, WrongUsage
from driftline_cli.profile_files import write_whole
from driftline_cli.readers.labels import Columns, LabelFile, open_labels
from driftline_cli.readers.progress import progress

_PLACE = re.compile(r"labels\[([0-9]+)\]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `driftline labels push`."""
    commands = parser.add_subparsers(dest="labels_command", required=True, metavar="COMMAND")
    push = commands.add_parser("push", help="send a file of labels to the hub", description=__doc__)
    add = push.add_argument
    add("data", metavar="FILE", help="CSV, NDJSON (.ndjson, .jsonl), Parquet or Arrow; or a quoted pattern")
    add(
        "--id-column",
        required=True,
        action="append",
        metavar="NAME",
        help="the prediction's id; several times: the fields of labels.key, in its order",
    )
    add("--label-column", required=True, metavar="NAME", help="what became true; empty: not known yet")
    add("--time-column", metavar="NAME", help="when it became known (default: when the hub takes it)")
    add("--url", required=True, metavar="URL", help="the hub, https://HOST:PORT")
    add("--token-file", required=True, type=Path, metavar="FILE", help="a token of scope label")
    add("--ca-file", type=Path, metavar="FILE", help="the authority of its certificate (the system's)")
    add("--namespace", default="default", metavar="NAME", help="the monitor's (%(default)s)")
    add("--monitor", required=True, metavar="NAME", help="whose predictions the labels are for")
    add("--batch", type=_batch, default=BATCH, metavar="N", help="labels in a request (%(default)s)")
    add(
        "--patience",
        type=_seconds,
        default=PATIENCE,
        metavar="S",
        help="a hub that is away is waited for (60)",
    )
    add("--restart", action="store_true", help="from the first row, whatever an earlier run has sent")


class Batch(NamedTuple):
    """Labels of one request."""

    labels: list[Label]
    rows: list[int]
    """Which row of the file each is of, from 1."""
    end: int
    """The last row that is dealt with once the labels are in the hub, rows without label included."""


def run(arguments: argparse.Namespace) -> int:
    """Send them; the exit code. Raises DataError and WrongUsage."""
    columns = Columns(tuple(arguments.id_column), arguments.label_column, arguments.time_column)
    hub = _hub(arguments)
    file = open_labels(arguments.data, columns)
    rows, empty = _counted(file)
    mark = Mark(file.paths, [*columns, arguments.url, arguments.namespace, arguments.monitor])
    done = 0 if arguments.restart else min(mark.read(), rows)
    if done:
        say(f"going on after row {done:,} of {rows:,} (--restart begins again)")
    sent = new = 0
    with hub, progress("sending labels", rows - done) as advance:
        for batch in _batches(file, done, arguments.batch):
            try:
                answer = hub.labels(batch.labels)
            except HubError as error:
                raise _failed(error, batch, done, rows) from error
            sent, new = sent + answer.accepted, new + answer.new
            mark.write(batch.end)
            advance(batch.end - done)
            done = batch.end
    mark.remove()
    said = f"; {empty:,} rows have no label yet" if empty else ""
    say(f"{sent:,} labels sent, {new:,} of them new or changed{said}")
    return EX_OK


class NotSent(DriftlineError):
    """The hub has only a part of the labels, or none."""

    def __init__(self, said: str, exit_code: int) -> None:
        super().__init__(said)
        self.exit_code = exit_code


def _failed(error: HubError, batch: Batch, done: int, rows: int) -> NotSent:
    """What the hub said, in the file's rows, and how to go on."""
    place = _PLACE.match(error.field)
    index = error.first + int(place[1]) if place else -1
    where = f"row {batch.rows[index]:,}: " if 0 <= index < len(batch.rows) else ""
    said = f"{where}{error}\n{done:,} of {rows:,} rows are dealt with; the same command goes on after them"
    refused = isinstance(error, Refused) and error.status not in (401, 403, 404)
    return NotSent(said, EX_DATAERR if refused else EX_UNAVAILABLE)


def _hub(arguments: argparse.Namespace) -> Hub:
    try:
        token = arguments.token_file.read_text().strip()
    except OSError as error:
        raise DataError(f"{arguments.token_file}: {error.strerror or error}") from error
    if not token:
        raise DataError(f"{arguments.token_file}: holds no token")
    try:
        return Hub(
            arguments.url,
            token,
            namespace=arguments.namespace,
            monitor=arguments.monitor,
            ca_file=arguments.ca_file,
            patience=arguments.patience,
        )
    except HubError as error:
        raise WrongUsage(f"--url {error}") from error
    except (OSError, ssl.SSLError) as error:
        raise DataError(f"{arguments.ca_file}: no certificate authority: {error}") from error


def _counted(file: LabelFile) -> tuple[int, int]:
    """Rows, and those without label. All are looked at before anything is sent: DataError names the first
    that can't be."""
    rows = empty = 0
    for label in file.labels():
        rows += 1
        empty += label is None
    if rows == empty:
        raise DataError(f"{file.paths[0]}: no row has a label")
    return rows, empty


def _batches(file: LabelFile, done: int, size: int) -> Iterator[Batch]:
    numbered = islice(enumerate(file.labels(), start=1), done, None)
    labels: list[Label] = []
    rows: list[int] = []
    row = done
    for row, label in numbered:
        if label is not None:
            labels.append(label)
            rows.append(row)
        if len(labels) >= size:
            yield Batch(labels, rows, row)
            labels, rows = [], []
    if labels:
        yield Batch(labels, rows, row)


class Mark:
    """How far an earlier run of the same file to the same monitor has come: a small file beside it."""

    def __init__(self, paths: Sequence[Path], target: Sequence[object]) -> None:
        digest = hashlib.blake2b(repr(target).encode(), digest_size=8)
        for path in paths:
            with path.open("rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
        self._path = paths[0].parent / f".{paths[0].name}.{digest.hexdigest()}.pushed"
        self._said = False

    def read(self) -> int:
        """Rows that are dealt with."""
        try:
            return max(0, int(self._path.read_text()))
        except (OSError, ValueError):
            return 0

    def write(self, rows: int) -> None:
        """Note it, whole or not at all; where that can't be, say so once and go on."""
        try:
            write_whole(self._path, f"{rows}\n".encode())
        except (OSError, DataError) as error:
            if not self._said:
                self._said = True
                say(f"note: it can't be kept how far it is, so a broken run begins anew: {error}")

    def remove(self) -> None:
        """All is sent."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def _batch(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_EVENTS:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST_EVENTS}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError("must be seconds from 0 to 86400")
    return value
