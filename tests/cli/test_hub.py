"""`driftline hub` becomes the operator's program."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from driftline_cli import main
from driftline_cli.commands.hub import DATABASE, command


def test_the_database_is_a_file_here_where_nothing_else_is_said() -> None:
    program = [sys.executable, "-m", "driftline_operator.main", "hub"]
    assert command(["-f", "m.yaml"], "") == [*program, "--database", DATABASE, "-f", "m.yaml"]
    assert command(["--database=x"], "") == [*program, "--database=x"]
    assert command(["--database", "x"], "") == [*program, "--database", "x"]
    assert command([], "postgresql://db") == program


def test_all_that_follows_is_the_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []

    class Became(BaseException):
        pass

    def become(_: str, arguments: list[str], environment: dict[str, str]) -> None:
        assert environment["DRIFTLINE_PROGRAM"] == "driftline"
        assert environment["DRIFTLINE_DATABASE"] == DATABASE
        became.append(arguments)
        raise Became

    monkeypatch.setattr("os.execve", become)
    monkeypatch.delenv("DRIFTLINE_DATABASE", raising=False)
    with pytest.raises(Became):
        main.main(["hub", "--listen", "127.0.0.1:0", "--help"])
    assert became[0][3:] == ["hub", "--database", DATABASE, "--listen", "127.0.0.1:0", "--help"]


def test_without_its_libraries_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sqlalchemy" else name)
    assert main.main(["hub"]) == 69
    assert "-m pip install -c constraints.txt -e '.[cli,operator]'" in capsys.readouterr().err


def test_its_help_is_of_what_was_called() -> None:
    command = [sys.executable, "-m", "driftline_cli.main", "hub", "--help"]
    wide = {**os.environ, "COLUMNS": "300"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=wide).stdout
    assert "usage: driftline hub [-h] [--database URL]" in said
    assert "driftline-hub.db" in said
