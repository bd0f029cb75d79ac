"""How much memory this process takes, without what it took before."""

from __future__ import annotations

import re
from pathlib import Path


def peak() -> int:
    """The most memory that has been resident since `fresh_peak`, in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


def fresh_peak() -> int:
    """Forget earlier peaks: whatever another test needed would hide what this one takes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()
