"""Stores a profile: one gzip stream of a magic word, the format's version, a content hash and the content.

Equal content gives equal bytes. Whoever reads it gets a whole profile or a ProfileError that says what
to do. What is too large for one ConfigMap is split: `profile_parts`.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from dataclasses import replace

import msgspec

from driftline.errors import ProfileError
from driftline.profile import FORMAT, Profile
from driftline.profile_wire import ProfileWire, from_wire, to_wire

MAX_BYTES = 256 << 20
"""No profile is larger, unpacked: what claims to be is damaged, or made to fill the memory."""

_MAGIC = b"DRIFTPRF"
PART_MAGIC = b"DRIFTPRT"
"""What one part of a split profile begins with: it is no profile by itself."""
_HEAD = struct.Struct("<8sHd32s")
"""Magic, version, created (NaN: unknown), SHA-256 of the rest."""
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


def _decode(data: bytes) -> Profile:
    if data.startswith(PART_MAGIC):
        raise ProfileError("this is one part of a split profile: give all of its parts, or their directory")
    raw = _inflate(data)
    if len(raw) < _HEAD.size or not raw.startswith(_MAGIC):
        raise ProfileError("not a Driftline profile: make one with `driftline profile build`")
    _, version, created, digest = _HEAD.unpack_from(raw)
    check_version(version)
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


def check_version(version: int) -> None:
    """Raises ProfileError for a format that this program doesn't read."""
    if version != FORMAT:
        advice = "upgrade driftline" if version > FORMAT else "build the profile again"
        raise ProfileError(
            f"format version {version} is unknown here (this driftline reads {FORMAT}): {advice}"
        )
