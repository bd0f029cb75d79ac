"""Where the monitors' profiles come from: a ConfigMap of the user's, or the copies of captured ones.

A ConfigMap is read when the monitor names it, and again when its version changes; its content is held
by the API server and the sidecars, here only one encoded copy and what verdicts need of the decoded profile.
"""

from __future__ import annotations

import base64
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from driftline.errors import DriftlineError
from driftline.profile import Profile
from driftline.profile_codec import decode_profile, join_profile

from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import CONFIG_MAPS, Object
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import Observed, Reference
from driftline_operator.controller.plan.objects import MOST_PROFILE_BYTES

_log = logging.getLogger(__name__)

_MOST_PARTS: Final = 64


class Loaded(NamedTuple):
    """A monitor's reference; `profile` where there is one."""

    reference: Reference
    profile: Profile | None = None


class Copy(NamedTuple):
    """An immutable copy, by its metadata."""

    name: str
    profile_hash: str
    made: str


def copies(config_maps: Sequence[Object]) -> list[Copy]:
    """The profile copies among a monitor's ConfigMaps, newest first."""
    found = []
    for each in config_maps:
        metadata = each["metadata"]
        marks = metadata.get("annotations") or {}
        if names.MADE_ANNOTATION in marks and names.PROFILE_HASH_ANNOTATION in marks:
            profile_hash, made = marks[names.PROFILE_HASH_ANNOTATION], marks[names.MADE_ANNOTATION]
            found.append(Copy(metadata["name"], profile_hash, made))
    return sorted(found, key=lambda each: each.made, reverse=True)


def surplus(found: Sequence[Copy], in_force: str, history: int) -> list[Copy]:
    """The copies to be deleted: `history` are kept beside the one in force. `found`: newest first."""
    others = [each for each in found if each.profile_hash != in_force]
    return others[history:]


class References:
    """What is known of each monitor's reference. `version`: of a ConfigMap, from the watch caches."""

    def __init__(
        self,
        api: Api,
        version: Callable[[str, str, str], str | None],
        owned: Callable[[str, Observed], list[Object]],
    ) -> None:
        self._api, self._version, self._owned = api, version, owned
        self._loaded: dict[tuple[str, str], tuple[tuple[object, ...], Loaded]] = {}

    async def load(self, observed: Observed) -> Loaded:
        """A monitor's reference as it is now; reads only what changed. Raises ApiError."""
        if observed.monitor is None:
            return Loaded(Reference(ReferenceReason.INVALID_SPEC, observed.problem))
        reference = observed.monitor.spec.reference
        key = observed.namespace, observed.name
        if reference.capture is not None:
            newest = next(iter(copies(self._owned(observed.namespace, observed))), None)
            source = ("capture", observed.uid, newest)
            if newest is None:
                rows = reference.capture.rows
                loaded = Loaded(
                    Reference(ReferenceReason.CAPTURING, f"gathering {rows} rows of live traffic")
                )
                self._loaded[key] = source, loaded
                return loaded
            loaded = await self._cached(key, source, newest.name, ReferenceReason.CAPTURED)
            made = dt.datetime.fromisoformat(newest.made).timestamp()
            return loaded._replace(reference=loaded.reference._replace(made=made))
        if reference.profile is None:
            said = "the spec has neither reference.profile nor reference.capture: nothing is compared"
            return Loaded(Reference(ReferenceReason.NO_REFERENCE, said))
        name = reference.profile.config_map
        if name is None:
            said = "reference.profile is no ConfigMap: sidecars read it, fleet verdicts need a ConfigMap"
            return Loaded(Reference(ReferenceReason.PROFILE_OUTSIDE, said))
        version = self._version(CONFIG_MAPS.plural, observed.namespace, name)
        if version is None:
            said = f"there is no ConfigMap {name} (reference.profile.configMap) in {observed.namespace}"
            return Loaded(Reference(ReferenceReason.PROFILE_NOT_FOUND, said))
        return await self._cached(key, ("profile", name, version), name, ReferenceReason.PROFILE_LOADED)

    def forget(self, known: Mapping[tuple[str, str], object]) -> None:
        """Drop what belongs to no monitor any longer."""
        for key in [each for each in self._loaded if each not in known]:
            del self._loaded[key]

    async def _cached(
        self, key: tuple[str, str], source: tuple[object, ...], name: str, good: ReferenceReason
    ) -> Loaded:
        known = self._loaded.get(key)
        if known is not None and known[0] == source:
            return known[1]
        try:
            found = await self._api.get(CONFIG_MAPS, key[0], name)
        except ApiError as error:
            if not error.missing:
                raise
            return Loaded(
                Reference(ReferenceReason.PROFILE_NOT_FOUND, f"there is no ConfigMap {name} in {key[0]}")
            )
        loaded = read(found, good)
        if loaded.profile is None:
            _log.warning("%s/%s: %s", *key, loaded.reference.message)
        self._loaded[key] = source, loaded
        return loaded


def read(config_map: Object, good: ReferenceReason) -> Loaded:
    """The profile in a ConfigMap: `binaryData.profile`, or its parts `profile`, `profile-2`, …"""
    name = config_map["metadata"]["name"]
    binary: Mapping[str, str] = config_map.get("binaryData") or {}
    keys = [names.PROFILE_KEY, *(f"{names.PROFILE_KEY}-{n}" for n in range(2, _MOST_PARTS))]
    parts = [base64.b64decode(binary[each]) for each in keys if each in binary]
    if not parts:
        said = (
            f"ConfigMap {name} has no binaryData.{names.PROFILE_KEY}: make it with "
            f"`kubectl create configmap {name} --from-file=profile=FILE`"
        )
        return Loaded(Reference(ReferenceReason.PROFILE_INVALID, said))
    try:
        raw = parts[0] if len(parts) == 1 else join_profile(parts)
        profile = decode_profile(raw, f"ConfigMap {name}")
    except DriftlineError as error:
        return Loaded(Reference(ReferenceReason.PROFILE_INVALID, str(error)))
    if len(raw) > MOST_PROFILE_BYTES:
        said = (
            f"the profile in ConfigMap {name} has {len(raw):,} bytes, a sidecar's ConfigMap holds "
            f"{MOST_PROFILE_BYTES:,}: watch fewer features, or use reference.profile.volume"
        )
        return Loaded(Reference(ReferenceReason.PROFILE_TOO_LARGE, said))
    said = f"{profile.rows:,} rows, {len(profile.features)} columns, {profile.hash[:12]}"
    return Loaded(Reference(good, said, raw, profile.hash), profile.for_judging())
