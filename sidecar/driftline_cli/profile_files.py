"""Profiles as files: one, or the parts of a split one in a directory (as mounted ConfigMaps are)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from driftline.errors import DataError, ProfileError
from driftline.profile import Profile
from driftline.profile_codec import MAX_BYTES, decode_profile
from driftline.profile_parts import is_part, join_profile

from driftline_cli.exits import EX_CANTCREAT


class CantWrite(DataError):
    """The output has no place."""

    exit_code = EX_CANTCREAT


def read_profile(paths: Sequence[Path]) -> Profile:
    """The profile of a file, of several part files, or of a directory that holds them."""
    source = ", ".join(str(path) for path in paths)
    contents = [_read(path) for given in paths for path in _files(given)]
    if not contents:
        raise ProfileError(f"{source}: no profile is there")
    if len(contents) == 1 and not is_part(contents[0]):
        return decode_profile(contents[0], source)
    try:
        whole = join_profile(contents)
    except ProfileError as error:
        raise ProfileError(f"{source}: {error}") from error
    return decode_profile(whole, source)


def is_profile(path: Path) -> bool:
    """Whether a path is to be read as a profile: a directory, or named or beginning like one."""
    if path.is_dir() or path.suffix == ".profile":
        return True
    try:
        with path.open("rb") as file:
            return is_part(file.read(16))
    except OSError:
        return False


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or all of the new."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise CantWrite(f"{path}: can't be written: {error.strerror}") from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise CantWrite(f"{path}: can't be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    """The path itself, or a directory's plain files; `..data` and other hidden names are the mount's own."""
    if not path.is_dir():
        return [path]
    return sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProfileError(f"{path}: larger than any profile ({path.stat().st_size:,} bytes)")
        return path.read_bytes()
    except OSError as error:
        raise ProfileError(f"{path}: can't be read: {error.strerror}") from error
