"""`driftline top`: what a running Driftline sees, live in the terminal."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.text import Text

from driftline_cli.admin_client import AdminClient, Unavailable
from driftline_cli.top_view import frame, line

DEFAULT_ADMIN = "http://127.0.0.1:15090"
_LINE_SECONDS = 10.0
_WAIT_FOR_RETURN = 60.0
_PIPE_WIDTH = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `driftline top`."""
    parser.add_argument("--admin", default=DEFAULT_ADMIN, metavar="URL", help="default: %(default)s")
    parser.add_argument("--once", action="store_true", help="print one frame and end")
    parser.add_argument("--interval", type=_interval, metavar="SECONDS", help="between looks (default: 1)")


def run(arguments: argparse.Namespace) -> int:
    """Show it until `q`, Ctrl-C or the end of what is watched. Raises Unavailable where nothing answers."""
    client = AdminClient(arguments.admin)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    report, history = client.report(), client.history()
    if arguments.once:
        console.print(frame(report, history, ascii_only=not _unicode()))
        return 0
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        if console.is_terminal and sys.stdin.isatty():
            _live(client, console, arguments.interval or 1.0)
        else:
            _lines(client, arguments.interval or _LINE_SECONDS)
    return 0


def _live(client: AdminClient, console: Console, interval: float) -> None:
    with _keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        last_answer = time.monotonic()
        while True:
            try:
                shown = frame(client.report(), client.history(), ascii_only=not _unicode())
                last_answer = time.monotonic()
                live.update(shown, refresh=True)
            except Unavailable as error:
                silent = time.monotonic() - last_answer
                if silent > _WAIT_FOR_RETURN:
                    raise
                live.update(Text(f"{error}; asking again ({silent:.0f} s)", style="red"), refresh=True)
            if _pressed(keys, interval) in ("q", "Q", "\x03", "\x04"):
                return


def _lines(client: AdminClient, interval: float) -> None:
    """A line now and then, until nothing answers any longer: the run is over."""
    while True:
        try:
            sys.stdout.write(line(client.report()) + "\n")
        except Unavailable:
            return
        sys.stdout.flush()
        time.sleep(interval)


@contextlib.contextmanager
def _keys() -> Iterator[int]:
    """Single key presses from the terminal, and its settings restored afterwards."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _pressed(descriptor: int, seconds: float) -> str:
    ready, _, _ = select.select([descriptor], [], [], seconds)
    return os.read(descriptor, 1).decode("latin-1") if ready else ""


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")


def _interval(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError("must be from 0.1 to 3600 seconds")
    return value
