"""Child processes of `driftline run`: started, watched, restarted with back-off, ended.

Each child leads a process group of its own, so that Ctrl-C reaches only the parent, which then ends
them in order; and each gets SIGTERM from the kernel should the parent be killed.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 10.0
_LAST_WORDS_SECONDS = 1.0
_HEALTHY_SECONDS = 30.0
"""A child that ran that long has recovered: its next restart is quick again."""

_libc = ctypes.CDLL(None, use_errno=True)


def backoff(failures: int) -> float:
    """Seconds to wait before the restart after that many failures in a row (1 or more)."""
    return min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(failures - 1, 16))


class Child:
    """One program of the sidecar."""

    def __init__(
        self, name: str, arguments: Sequence[str], tell: Callable[[bytes], None] | None = None
    ) -> None:
        """`tell`: gets what it says on stderr, where that mustn't go straight to the parent's."""
        self.name = name
        self._tell = tell
        self._telling: asyncio.Task[None] | None = None
        self.restarts = 0
        self._arguments = [sys.executable, "-m", "driftline_sidecar.main", *arguments]
        self._process: asyncio.subprocess.Process | None = None
        self._ending = False

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> None:
        """Start it; output goes where the parent's goes."""
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=subprocess.DEVNULL,
            stderr=None if self._tell is None else subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        if self._tell is not None and self._process.stderr is not None:
            self._telling = asyncio.create_task(_hand_on(self._process.stderr, self._tell))

    async def wait(self) -> int:
        """The exit code of the running process."""
        assert self._process is not None, "started"  # noqa: S101
        return await self._process.wait()

    async def keep_running(self, say: Callable[[str], None]) -> None:
        """Restart it whenever it ends, until `end`."""
        failures = 0
        while True:
            began = time.monotonic()
            code = await self.wait()
            if self._ending:
                return
            failures = 1 if time.monotonic() - began > _HEALTHY_SECONDS else failures + 1
            delay = backoff(failures)
            say(f"the {self.name} has ended with {code}; starting it again in {delay:.1f} s")
            await asyncio.sleep(delay)
            if self._ending:
                return
            self.restarts += 1
            await self.start()

    def kill(self) -> None:
        """End it at once."""
        self._ending = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def end(self, seconds: float) -> int | None:
        """SIGTERM, and SIGKILL where that takes longer than `seconds`; the exit code."""
        self._ending = True
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(seconds):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._telling is not None:
            await asyncio.wait({self._telling}, timeout=_LAST_WORDS_SECONDS)
        return process.returncode


async def _hand_on(said: asyncio.StreamReader, tell: Callable[[bytes], None]) -> None:
    """To the end, whatever becomes of it: a child must not wait for who reads what it says."""
    while part := await said.read(1 << 16):
        with suppress(OSError):
            tell(part)


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
