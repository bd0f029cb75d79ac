"""Runs in a container's cgroup: takes memory there until the kernel kills, and says how often it did.

    python3 -c "$(cat oom.py)"

The memory is spread over many small processes: the kernel takes the largest one of the cgroup, which is the
program's and none of these. Where all of a cgroup is killed at once (`memory.oom.group`), this dies too and
prints nothing.
"""

import contextlib
import os
import re
import signal
import time

COUNTS = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")
BYTES = 4 << 20
MOST = 200


def kills() -> int:
    for path in COUNTS:
        with contextlib.suppress(OSError), open(path) as file:  # noqa: PTH123
            found = re.search(r"oom_kill (\d+)", file.read())
            if found:
                return int(found[1])
    raise SystemExit("no count of kills is to be seen in this container")


def child() -> int:
    """A process that holds memory."""
    pid = os.fork()
    if pid == 0:
        held = b"x" * BYTES
        time.sleep(30)
        os._exit(len(held) and 0)
    return pid


def main() -> None:
    before = kills()
    children: list[int] = []
    while kills() == before and len(children) < MOST:
        children.append(child())
        time.sleep(0.05)
    seen = kills() - before
    for each in children:
        os.kill(each, signal.SIGKILL)
    print(seen)


main()
