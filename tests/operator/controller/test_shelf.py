"""Profiles in files: read as they were, gone with what named them, bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import Reference
from driftline_operator.controller.shelf import Shelf, Shelved


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def files(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


def test_a_profile_is_read_from_its_file_and_the_file_goes_with_it(here: Path) -> None:
    kept = Shelf().keep(b"profile")
    assert isinstance(kept, Shelved)
    reference = Reference(ReferenceReason.PROFILE_LOADED, "", kept, "hash")
    assert (reference.there, reference.profile) == (True, b"profile")
    assert len(files(here)) == 1
    del kept, reference
    assert files(here) == []


def test_what_has_no_room_stays_in_memory_until_there_is_room_again() -> None:
    shelf = Shelf(10)
    first = shelf.keep(b"x" * 8)
    assert isinstance(first, Shelved)
    assert shelf.keep(b"y" * 8) == b"y" * 8
    del first
    assert isinstance(shelf.keep(b"y" * 8), Shelved)


def test_without_a_disk_it_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/at/all")
    assert Shelf().keep(b"profile") == b"profile"
    assert not Reference(ReferenceReason.NO_REFERENCE, "").there
