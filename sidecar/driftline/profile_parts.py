"""Profiles too large for one ConfigMap: split into parts that each name the whole's hash.

A set of parts is found from its first: it says how many there are and what all together must hash to, so
that parts of an older set, or a set that is only half there, never pass for a profile.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from driftline.errors import ProfileError
from driftline.profile import FORMAT
from driftline.profile_codec import PART_MAGIC, check_version

CONFIG_MAP_BYTES: Final = 1_048_576
"""What the API server takes of data in a ConfigMap, counted before base64."""

PART_BYTES: Final = 900_000
"""A part's size: what remains of a ConfigMap is for the monitor that a sidecar mounts beside it."""

MOST_PARTS: Final = 4
"""A pod's volumes are named when it is made: so many ConfigMaps are looked for, whether they exist or not."""

MOST_BYTES: Final = PART_BYTES * MOST_PARTS
"""No profile is larger in a cluster: some 800 numeric features with three windows' blocks."""

PROFILE_LABEL: Final = "driftline.io/profile"
"""On the ConfigMaps of one profile of a user: the name of the first."""
PROFILE_KEY: Final = "profile"
"""In a ConfigMap's `binaryData`: a profile, or one part."""

_HEAD = struct.Struct("<8sHHH32s32s")
"""Magic, version, index, count, SHA-256 of the whole, SHA-256 of this part."""


class PartHead(NamedTuple):
    """What a part says of itself."""

    number: int
    """From 1."""
    of: int
    whole: str
    """SHA-256 of the encoded profile, in hexadecimal."""


def split_profile(data: bytes, part_bytes: int = PART_BYTES) -> tuple[bytes, ...]:
    """An encoded profile in parts of at most `part_bytes` content each; one part where it is small enough."""
    pieces = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]
    whole = hashlib.sha256(data).digest()
    return tuple(
        _HEAD.pack(PART_MAGIC, FORMAT, index, len(pieces), whole, hashlib.sha256(piece).digest()) + piece
        for index, piece in enumerate(pieces)
    )


def join_profile(parts: Iterable[bytes]) -> bytes:
    """The encoded profile, from its parts in any order. Raises ProfileError for missing or damaged ones."""
    found: dict[int, bytes] = {}
    wholes: set[tuple[int, str]] = set()
    for part in parts:
        head, piece = _part(part)
        found[head.number] = piece
        wholes.add((head.of, head.whole))
    if not wholes:
        raise ProfileError("no part of a profile is there")
    if len(wholes) > 1:
        raise ProfileError("parts of different profiles are mixed: keep one profile's only")
    count, whole = next(iter(wholes))
    absent = [str(number) for number in range(1, count + 1) if number not in found]
    if absent:
        raise ProfileError(f"part {', '.join(absent)} of {count} is missing: give all parts")
    data = b"".join(found[number] for number in range(1, count + 1))
    if hashlib.sha256(data).hexdigest() != whole:
        raise ProfileError("the parts don't make up the profile they name: copy them again")
    return data


def is_part(data: bytes) -> bool:
    """Whether these bytes are one part of a split profile."""
    return data.startswith(PART_MAGIC)


def part_head(data: bytes) -> PartHead:
    """What a part says of itself. Raises ProfileError where it is none that can be read."""
    if not is_part(data) or len(data) < _HEAD.size:
        raise ProfileError("not a part of a profile")
    _, version, index, count, whole, _ = _HEAD.unpack_from(data)
    check_version(version)
    return PartHead(index + 1, count, whole.hex())


def further_names(name: str, first: bytes) -> tuple[str, ...]:
    """The ConfigMaps of the further parts, where the one called `name` holds `first`; none if that is whole.

    They are named by the whole's hash: until the first is replaced, it leads to its own parts. Raises
    ProfileError for what can't be a first part.
    """
    if not is_part(first):
        return ()
    head = part_head(first)
    if head.number != 1 or head.of > MOST_PARTS:
        raise ProfileError(f"part {head.number} of {head.of} is not the first of at most {MOST_PARTS}")
    return tuple(f"{name}-{head.whole[:12]}-{number}" for number in range(2, head.of + 1))


def _part(data: bytes) -> tuple[PartHead, bytes]:
    head, piece = part_head(data), data[_HEAD.size :]
    if hashlib.sha256(piece).digest() != _HEAD.unpack_from(data)[-1]:
        raise ProfileError(f"part {head.number} of {head.of} is damaged: copy it again")
    return head, piece
