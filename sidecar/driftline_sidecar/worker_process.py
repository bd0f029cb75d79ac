"""One forked worker as the supervisor sees it: a process, a channel, and how it ended.

Forking instead of starting a program anew makes a successor ready within milliseconds and lets both
processes share the pages of the interpreter and its modules.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

from driftline_sidecar import logs
from driftline_sidecar.control import FromWorker, ToWorker, channel, receive_from_worker, send
from driftline_sidecar.settings import EX_SOFTWARE


class WorkerProcess:
    """A running worker. The end of its process makes `handle` readable."""

    def __init__(self, pid: int, end: socket.socket, started: float) -> None:
        self.pid = pid
        self.end = end
        self.started = started
        self.ready = False
        self.hung = False
        """It was killed because its loop had stopped."""
        self.handle = os.pidfd_open(pid)

    def tell(self, message: ToWorker) -> bool:
        """Send a message; False where the worker does not take it."""
        return send(self.end, message)

    def hear(self) -> FromWorker | None:
        """The next message; None at the end. Raises BlockingIOError where there is none."""
        return receive_from_worker(self.end)

    def kill(self) -> None:
        """End it at once; its death is told through `handle`."""
        signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def reap(self) -> str:
        """Collect the ended process and close what is left of it; how it ended, in words."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.handle)
        self.end.close()
        code = os.waitstatus_to_exitcode(status)
        return f"signal {-code}" if code < 0 else f"status {code}"


def fork(run: Callable[[socket.socket], int], give_up: Callable[[], None], started: float) -> WorkerProcess:
    """Fork a worker that runs `run` with its end of the channel.

    `give_up` closes, in the child, what belongs to the parent alone.
    """
    ours, theirs = channel()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        theirs.close()
        return WorkerProcess(pid, ours, started)
    code = EX_SOFTWARE
    try:
        ours.close()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # sent to the whole group; the supervisor decides
        give_up()
        code = run(theirs)
    except BaseException as error:  # noqa: BLE001 - nothing may return into the parent's code
        logs.event(logging.ERROR, "worker_failed", "the worker failed", error=error)
    finally:
        os._exit(code)
