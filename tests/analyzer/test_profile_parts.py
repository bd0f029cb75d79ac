"""A profile in parts, as a pod mounts it: all of one set, or the one that was there before."""

from __future__ import annotations

from pathlib import Path

import pytest
from driftline.errors import ProfileError
from driftline.profile import Profile
from driftline.profile_codec import encode_profile
from driftline.profile_parts import split_profile
from driftline_sidecar.analyzer.reference import watch

from tests.support.profiles import reference, texts

Parts = tuple[bytes, ...]


def made(seed: int) -> tuple[Profile, Parts]:
    values = texts([number % (5 + seed) for number in range(400)])
    profile = reference({"c": values})
    data = encode_profile(profile)
    return profile, split_profile(data, len(data) // 3 + 1)


def write(directory: Path, parts: Parts, *numbers: int) -> None:
    """Put those parts where kubelet would: each replaced by itself."""
    for number in numbers:
        name = "profile" if number == 1 else f"profile-{number}"
        new = directory / f".{name}"
        new.write_bytes(parts[number - 1])
        new.replace(directory / name)


def test_a_set_that_is_half_replaced_is_not_taken(tmp_path: Path) -> None:
    (old, before), (new, after) = made(0), made(1)
    assert len(before) == len(after) == 3
    write(tmp_path, before, 1, 2, 3)
    watched = watch(tmp_path / "profile")
    assert watched.load().hash == old.hash
    in_force = watched.digest
    for now, number in enumerate((2, 1), start=1):
        write(tmp_path, after, number)
        assert watched.poll(float(now)) is None
        assert watched.refusal is not None
        assert "parts of different profiles are mixed" in watched.refusal.reason
        assert watched.digest == in_force
    write(tmp_path, after, 3)
    taken = watched.poll(3.0)
    assert taken is not None
    assert taken.hash == new.hash
    assert watched.refusal is None


def test_a_set_that_goes_back_is_no_change(tmp_path: Path) -> None:
    (_, before), (_, after) = made(0), made(1)
    write(tmp_path, before, 1, 2, 3)
    watched = watch(tmp_path / "profile")
    watched.load()
    write(tmp_path, after, 2)
    assert watched.poll(1.0) is None
    assert watched.refusal is not None
    write(tmp_path, before, 2)
    assert watched.poll(2.0) is None
    assert watched.refusal is None


def test_parts_that_come_one_after_the_other_are_waited_for(tmp_path: Path) -> None:
    profile, parts = made(0)
    write(tmp_path, parts, 1)
    watched = watch(tmp_path / "profile")
    assert watched.poll(0.0) is None
    assert watched.refusal is not None
    assert "part 2, 3 of 3 is missing" in watched.refusal.reason
    write(tmp_path, parts, 2)
    assert watched.poll(1.0) is None
    write(tmp_path, parts, 3)
    found = watched.poll(2.0)
    assert found is not None
    assert found.hash == profile.hash


def test_what_an_older_larger_set_left_is_not_read(tmp_path: Path) -> None:
    (_, before), (new, _) = made(0), made(1)
    write(tmp_path, before, 1, 2, 3)
    watched = watch(tmp_path / "profile")
    watched.load()
    write(tmp_path, (encode_profile(new),), 1)
    found = watched.poll(1.0)
    assert found is not None
    assert found.hash == new.hash


def test_the_file_is_named_where_a_part_is_damaged(tmp_path: Path) -> None:
    _, parts = made(0)
    write(tmp_path, (parts[0], parts[1][:-1] + b"?", parts[2]), 1, 2, 3)
    with pytest.raises(ProfileError, match=f"{tmp_path}/profile: part 2 of 3 is damaged"):
        watch(tmp_path / "profile").load()
