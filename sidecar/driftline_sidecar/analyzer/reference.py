"""Where a monitor's reference comes from: a profile's file, or the first rows of live traffic."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

from driftline.errors import DriftlineError, ProfileError
from driftline.profile import Profile
from driftline.profile_codec import decode_profile, encode_profile
from driftline.profile_parts import MOST_PARTS, is_part, join_profile, part_head
from driftline.spec import ModelMonitor

from driftline_sidecar.logs import event
from driftline_sidecar.reload import Watched


class ReferenceState(StrEnum):
    """A closed set: label values of `reference_state`."""

    NO_REFERENCE = "NoReference"
    """None is configured, or its file can't be read: `/v1/config` says which."""
    CAPTURING = "Capturing"
    """The first rows of live traffic are being kept."""
    READY = "Ready"
    """There is a profile, and windows are judged against it."""


def watch(path: Path) -> Watched[Profile]:
    """A profile's file, with those that hold the further parts of one that was split (`profile-2`, …)."""
    beside = [path.with_name(f"{path.name}-{number}") for number in range(2, MOST_PARTS + 1)]
    return Watched(path, partial(decode_profile, source=str(path)), beside, partial(_whole, source=str(path)))


def _whole(contents: Sequence[bytes], source: str) -> bytes:
    """One profile's bytes. Parts that its first one doesn't count are an older set's, about to go."""
    first = contents[0]
    if not is_part(first):
        return first
    try:
        return join_profile(contents[: part_head(first).of])
    except ProfileError as error:
        raise ProfileError(f"{source}: {error}") from error


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
        return decode_profile(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None
    except (OSError, DriftlineError) as error:
        event(logging.WARNING, "reference_not_restored", "capturing anew", error=error, file=path)
        return None
