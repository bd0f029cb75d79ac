"""What a newcomer types first: make, and the bootstrap script."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_make_alone_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    listed = re.findall(r"^  make ([a-z0-9-]+) +\S", run("make", "--no-print-directory").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())


def test_bootstrap_says_what_is_missing_and_what_to_run(tmp_path: Path) -> None:
    for program in ("python3", "sh", "sort", "tr", "id"):
        (tmp_path / program).symlink_to(Path("/usr/bin") / program)
    (tmp_path / "id").unlink()
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    # The script looks in the system's sbin folders too; a name nobody has stands for a missing program.
    script = (ROOT / "scripts/bootstrap").read_text().replace("want wrk wrk", "want no-such-program wrk")
    copy = tmp_path / "bootstrap"
    copy.write_text(script)
    done = run("/bin/sh", str(copy), "bench", PATH=str(tmp_path))
    assert done.returncode == 69
    assert re.search(r"apt-get install --no-install-recommends -y .*\bwrk\b", done.stderr)


def test_bootstrap_refuses_an_unknown_purpose() -> None:
    done = run("scripts/bootstrap", "tset")
    assert done.returncode == 64
    assert "'tset' (known: test, bench)" in done.stderr


def test_the_operators_folder_never_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator/__init__.py").exists()


def test_every_declared_dependency_is_pinned() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [declared["project"]["dependencies"], *declared["project"]["optional-dependencies"].values()]
    groups += declared["dependency-groups"].values()
    named = {re.split(r"[^\w-]", entry)[0] for group in groups for entry in group if isinstance(entry, str)}
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    missing = {canonical(name) for name in named} - {canonical(name) for name in pinned}
    assert missing == set()


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
