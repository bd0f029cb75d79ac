"""Where a monitor's reference comes from: a profile's file, or the first rows of live traffic."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from driftline.errors import DriftlineError
from driftline.profile import Profile
from driftline.profile_codec import decode_profile, encode_profile, is_part, join_profile
from driftline.spec import ModelMonitor

from driftline_sidecar.logs import event


class ReferenceState(StrEnum):
    """A closed set: label values of `reference_state`."""

    NO_REFERENCE = "NoReference"
    """None is configured, or its file can't be read: `/v1/config` says which."""
    CAPTURING = "Capturing"
    """The first rows of live traffic are being kept."""
    READY = "Ready"
    """There is a profile, and windows are judged against it."""


def load(raw: bytes, path: Path) -> Profile:
    """Decode a profile's bytes; raises ProfileError with the file's name.

    The first part of a profile that was split (`profile`) is read with the others beside it (`profile-2`, …).
    """
    if is_part(raw):
        raw = join_profile([raw, *(each.read_bytes() for each in _further_parts(path))])
    return decode_profile(raw, str(path))


def _further_parts(path: Path) -> Iterator[Path]:
    for number in itertools.count(2):
        part = path.with_name(f"{path.name}-{number}")
        if not part.exists():
            return
        yield part


def state_path(directory: Path, monitor: ModelMonitor) -> Path:
    """Where a captured reference of this monitor is kept over restarts."""
    return directory / f"{monitor.metadata.namespace}.{monitor.metadata.name}.profile"


def save(profile: Profile, path: Path) -> None:
    """Write the profile so that a reader sees all of it or nothing. A full disk is told, not raised."""
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(encode_profile(profile))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        event(
            logging.ERROR,
            "reference_not_saved",
            "the captured reference is not saved",
            error=error,
            file=path,
        )


def saved(path: Path) -> Profile | None:
    """The profile captured before a restart; None where there is none that can be read."""
    try:
        return load(path.read_bytes(), path)
    except FileNotFoundError:
        return None
    except (OSError, DriftlineError) as error:
        event(logging.WARNING, "reference_not_restored", "capturing anew", error=error, file=path)
        return None
