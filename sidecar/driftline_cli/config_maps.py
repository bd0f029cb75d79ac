"""A profile as ConfigMaps: one, or a first part and the further ones to which it leads. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from driftline.errors import DataError
from driftline.profile_parts import (
    MOST_BYTES,
    PART_BYTES,
    PROFILE_KEY,
    PROFILE_LABEL,
    further_names,
    split_profile,
)

from driftline_cli.exits import WrongUsage

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def config_maps(name: str, profile: bytes) -> list[Mapping[str, Any]]:
    """The objects, in the order in which they are to be applied: the first part last.

    `profile`: encoded. Until its first part is replaced, an older profile keeps its own parts; from then on
    the new set is whole. Raises WrongUsage for a bad name and DataError for what doesn't fit.
    """
    if not _NAME.fullmatch(name):
        raise WrongUsage(
            f"--name {name}: must be at most 63 lower-case letters, digits and hyphens, as labels are"
        )
    if len(profile) > MOST_BYTES:
        raise DataError(
            f"the profile has {len(profile):,} bytes, ConfigMaps hold {MOST_BYTES:,}: watch fewer features"
        )
    parts = [profile] if len(profile) <= PART_BYTES else split_profile(profile)
    further = zip(further_names(name, parts[0]), parts[1:], strict=True)
    return [
        *(_config_map(of, name, part, immutable=True) for of, part in further),
        _config_map(name, name, parts[0]),
    ]


def is_strange(present: Mapping[str, Any]) -> bool:
    """Does a ConfigMap hold something else than a profile? One made by hand with a profile in it is none."""
    marked = PROFILE_LABEL in (present["metadata"].get("labels") or {})
    holds = PROFILE_KEY in (present.get("binaryData") or {})
    return not (marked or holds)


def outdated(present: Sequence[str], wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those of a profile's ConfigMaps that are no part of it any longer."""
    kept = {each["metadata"]["name"] for each in wanted}
    return sorted(set(present) - kept)


def _config_map(name: str, profile: str, content: bytes, *, immutable: bool = False) -> Mapping[str, Any]:
    fixed = {"immutable": True} if immutable else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {PROFILE_LABEL: profile}},
        **fixed,
        "binaryData": {PROFILE_KEY: base64.b64encode(content).decode()},
    }
