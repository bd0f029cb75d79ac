"""Runs in a proxy's container: kills the children of its first process, the worker; prints how many."""

import os
import signal
from pathlib import Path


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(pid) == 1]  # noqa: PTH208
for each in found:
    os.kill(each, signal.SIGKILL)
print(len(found))
