"""Stores a profile: one gzip stream of a magic word, the format's version, a content hash and the content.

Equal content gives equal bytes. Whoever reads it gets a whole profile or a ProfileError that says what
to do. Profiles too large for one ConfigMap are split into parts that each name the whole's hash.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Iterable
from dataclasses import replace

import msgspec

from driftline.errors import ProfileError
from driftline.profile import FORMAT, Profile
from driftline.profile_wire import ProfileWire, from_wire, to_wire

CONFIG_MAP_BYTES = 1_048_576
"""What the API server takes of data in a ConfigMap, counted before base64."""

PART_BYTES = 1_000_000
"""A part's size: the rest is for the ConfigMap's name, labels and annotations."""

MAX_BYTES = 256 << 20
"""No profile is larger, unpacked: what claims to be is damaged, or made to fill the memory."""

_MAGIC = b"DRIFTPRF"
_PART_MAGIC = b"DRIFTPRT"
_HEAD = struct.Struct("<8sHd32s")
"""Magic, version, created (NaN: unknown), SHA-256 of the rest."""
_PART_HEAD = struct.Struct("<8sHHH32s32s")
"""Magic, version, index, count, SHA-256 of the whole, SHA-256 of this part."""
_GZIP = 31
"""zlib's window bits for a gzip frame; its header holds no time and no name."""


def encode_profile(profile: Profile) -> bytes:
    """The stored form: equal content, equal bytes."""
    content = msgspec.msgpack.encode(to_wire(profile))
    created = math.nan if profile.created is None else profile.created
    head = _HEAD.pack(_MAGIC, FORMAT, created, hashlib.sha256(content).digest())
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    return packer.compress(head + content) + packer.flush()


def decode_profile(data: bytes, source: str = "") -> Profile:
    """The inverse. Raises ProfileError, naming `source` (a file), where it isn't a whole profile."""
    try:
        return _decode(data)
    except ProfileError as error:
        raise ProfileError(f"{source}: {error}" if source else str(error)) from error


def sealed(profile: Profile) -> Profile:
    """The profile as it will be read back: with its content hash, and sums rounded as they are stored."""
    wire = to_wire(profile)
    content = msgspec.msgpack.encode(wire)
    return replace(
        from_wire(wire, hashlib.sha256(content).hexdigest(), profile.created), version=profile.version
    )


def split_profile(data: bytes, part_bytes: int = PART_BYTES) -> tuple[bytes, ...]:
    """An encoded profile in parts of at most `part_bytes` content each; one part where it is small enough."""
    pieces = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]
    whole = hashlib.sha256(data).digest()
    return tuple(
        _PART_HEAD.pack(_PART_MAGIC, FORMAT, index, len(pieces), whole, hashlib.sha256(piece).digest())
        + piece
        for index, piece in enumerate(pieces)
    )


def join_profile(parts: Iterable[bytes]) -> bytes:
    """The encoded profile, from its parts in any order. Raises ProfileError for missing or damaged ones."""
    found: dict[int, bytes] = {}
    wholes: set[tuple[int, bytes]] = set()
    for part in parts:
        index, count, whole, piece = _part(part)
        found[index] = piece
        wholes.add((count, whole))
    if not wholes:
        raise ProfileError("no part of a profile is there")
    if len(wholes) > 1:
        raise ProfileError("parts of different profiles are mixed: keep one profile's only")
    count, whole = next(iter(wholes))
    absent = [str(index + 1) for index in range(count) if index not in found]
    if absent:
        raise ProfileError(f"part {', '.join(absent)} of {count} is missing: give all parts")
    data = b"".join(found[index] for index in range(count))
    if hashlib.sha256(data).digest() != whole:
        raise ProfileError("the parts don't make up the profile they name: copy them again")
    return data


def is_part(data: bytes) -> bool:
    """Whether these bytes are one part of a split profile."""
    return data.startswith(_PART_MAGIC)


def _part(data: bytes) -> tuple[int, int, bytes, bytes]:
    if not is_part(data) or len(data) < _PART_HEAD.size:
        raise ProfileError("not a part of a profile")
    _, version, index, count, whole, own = _PART_HEAD.unpack_from(data)
    _check_version(version)
    piece = data[_PART_HEAD.size :]
    if hashlib.sha256(piece).digest() != own:
        raise ProfileError(f"part {index + 1} of {count} is damaged: copy it again")
    return index, count, whole, piece


def _decode(data: bytes) -> Profile:
    if is_part(data):
        raise ProfileError("this is one part of a split profile: give all of its parts, or their directory")
    raw = _inflate(data)
    if len(raw) < _HEAD.size or not raw.startswith(_MAGIC):
        raise ProfileError("not a Driftline profile: make one with `driftline profile build`")
    _, version, created, digest = _HEAD.unpack_from(raw)
    _check_version(version)
    content = raw[_HEAD.size :]
    if hashlib.sha256(content).digest() != digest:
        raise ProfileError("the content doesn't match its hash: the file is damaged; copy or build it again")
    try:
        wire = msgspec.msgpack.decode(content, type=ProfileWire)
        return from_wire(wire, digest.hex(), None if math.isnan(created) else created)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise ProfileError(f"the content can't be read ({error}): build the profile again") from error


def _inflate(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        raise ProfileError("not a Driftline profile: make one with `driftline profile build`")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        raw = unpacker.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise ProfileError(f"the file is damaged ({error}): copy or build it again") from error
    if unpacker.unconsumed_tail:
        raise ProfileError(f"unpacked it is larger than {MAX_BYTES >> 20} MiB: not a profile this can read")
    if not unpacker.eof:
        raise ProfileError("the file is cut short: copy or build it again")
    if unpacker.unused_data:
        raise ProfileError("bytes follow the profile's end: the file is damaged; copy or build it again")
    return raw


def _check_version(version: int) -> None:
    if version != FORMAT:
        advice = "upgrade driftline" if version > FORMAT else "build the profile again"
        raise ProfileError(
            f"format version {version} is unknown here (this driftline reads {FORMAT}): {advice}"
        )
