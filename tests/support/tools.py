"""Programs that tests need beside Python's packages."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str) -> None:
    """Skip the test where a program lacks; in CI that is a failure, for a gate must not pass by skipping."""
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        return
    missing = f"{program} is not on the path: scripts/bootstrap test installs it"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
