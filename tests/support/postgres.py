"""A PostgreSQL of the tests' own: in a folder, on a Unix socket, as a user who isn't root."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.tools import need

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
"""Debian keeps these programs off the path."""


def program(name: str) -> str:
    found = shutil.which(name) or next((str(each / name) for each in reversed(_FOLDERS)), "")
    if not found or not Path(found).exists():
        need(name)
    return found


class Postgres:
    """A cluster that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.port = random.SystemRandom().randint(20_000, 60_000)  # of the socket's name: no TCP
        self._names = iter(range(1_000_000))
        self._process: subprocess.Popen[bytes] | None = None
        self._user = None if os.getuid() else pwd.getpwnam("postgres")
        if self._user is not None:  # it refuses to run as root
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run(program("initdb"), "-D", str(self.data), "-A", "trust", "-U", "postgres", "-E", "UTF8")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}"

    def start(self, *settings: str) -> None:
        command = [
            program("postgres"), "-D", str(self.data), "-k", str(self.folder), "-p", str(self.port),
            "-c", "listen_addresses=", *(part for each in settings for part in ("-c", each)),
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, **self._as_user()
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url()).close()
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "PostgreSQL doesn't answer"
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Of its first process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """As a machine's power cut would, but for what the kernel holds; children go with it."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown
            self._process.wait(60)

    def create(self, template: str = "template1") -> str:
        """Another database's URL."""
        name = f"hub{next(self._names)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_user())
        assert done.returncode == 0, done.stderr

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {"cwd": str(self.folder)}
        user = self._user
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": str(self.folder)}


@contextlib.contextmanager
def cluster() -> Iterator[Postgres]:
    """Started; nothing of it is left. Skips where PostgreSQL isn't installed, fails in CI."""
    if not program("postgres"):
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="dl-pg-"))  # short: a socket's path has 107 bytes at most
    postgres = Postgres(folder)
    try:
        postgres.start("fsync=off", "full_page_writes=off")
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
