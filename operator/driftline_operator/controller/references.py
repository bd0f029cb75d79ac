"""Where the monitors' profiles come from: a ConfigMap of the user's, or the copies of captured ones.

A ConfigMap is read when the monitor names it, and again when its version changes; its content is held
by the API server and the sidecars, here only what verdicts need of it, and one encoded copy in a file.
"""

from __future__ import annotations

import base64
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from driftline.errors import DriftlineError, ProfileError
from driftline.profile import Profile
from driftline.profile_codec import decode_profile
from driftline.profile_parts import MOST_BYTES, further_names, join_profile

from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import CONFIG_MAPS, Object
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import Observed, Reference
from driftline_operator.controller.shelf import Shelf

_log = logging.getLogger(__name__)

CAPTURING = (ReferenceReason.CAPTURING, ReferenceReason.CAPTURE_FAILED)
"""There is no reference yet, and rows for one are gathered."""


class Loaded(NamedTuple):
    """A monitor's reference; `profile` where there is one."""

    reference: Reference
    profile: Profile | None = None


class Copy(NamedTuple):
    """An immutable copy, by its metadata."""

    name: str
    profile_hash: str
    made: str
    further: tuple[str, ...] = ()
    """The ConfigMaps of its further parts."""
    captured: bool = False
    """Made of captured rows, not of a profile that the spec named."""


def copies(config_maps: Sequence[Object]) -> list[Copy]:
    """The profile copies among a monitor's ConfigMaps, newest first."""
    found = []
    for each in config_maps:
        metadata = each["metadata"]
        marks = metadata.get("annotations") or {}
        if names.MADE_ANNOTATION in marks and names.PROFILE_HASH_ANNOTATION in marks:
            profile_hash, made = marks[names.PROFILE_HASH_ANNOTATION], _made(metadata)
            further = _parts_of(f"{metadata['name']}-", config_maps)
            captured = names.CAPTURED_ANNOTATION in marks
            found.append(Copy(metadata["name"], profile_hash, made, further, captured))
    return sorted(found, key=lambda each: each.made, reverse=True)


def _made(metadata: Object) -> str:
    """When it came into force, RFC 3339; where somebody has written no such thing, when it was created."""
    said = str(metadata["annotations"][names.MADE_ANNOTATION])
    try:
        if dt.datetime.fromisoformat(said).tzinfo is not None:
            return said
    except ValueError:
        pass
    return str(metadata.get("creationTimestamp") or "1970-01-01T00:00:00Z")


def mounted_parts(monitor: str, config_maps: Sequence[Object]) -> tuple[str, ...]:
    """The ConfigMaps of further parts that a monitor's sidecars mount."""
    return _parts_of(names.profile_part(names.config_map(monitor), 0)[:-1], config_maps)


def _parts_of(prefix: str, config_maps: Sequence[Object]) -> tuple[str, ...]:
    present = [each["metadata"] for each in config_maps]
    parts = [each["name"] for each in present if names.PART_LABEL in (each.get("labels") or {})]
    return tuple(sorted(name for name in parts if name.startswith(prefix)))


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
        self._shelf = Shelf()

    async def load(self, observed: Observed) -> Loaded:
        """A monitor's reference as it is now; reads only what changed. Raises ApiError."""
        if observed.monitor is None:
            return Loaded(Reference(ReferenceReason.INVALID_SPEC, observed.problem))
        reference = observed.monitor.spec.reference
        key = observed.namespace, observed.name
        if reference.capture is not None:
            known = copies(self._owned(observed.namespace, observed))
            newest = next((each for each in known if each.captured), None)
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
            said = "reference.profile.file is of one machine: put it there with `driftline profile apply`"
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
            loaded = await self._read(key[0], name, good)
        except ApiError as error:
            if not error.missing:
                raise
            return Loaded(
                Reference(ReferenceReason.PROFILE_NOT_FOUND, f"there is no ConfigMap {name} in {key[0]}")
            )
        except MissingParts as error:
            return Loaded(Reference(ReferenceReason.PROFILE_INVALID, str(error)))  # they may still come
        if loaded.profile is None:
            _log.warning("%s/%s: %s", *key, loaded.reference.message)
        loaded = shelved(loaded, self._shelf)
        self._loaded[key] = source, loaded
        return loaded

    async def _read(self, namespace: str, name: str, good: ReferenceReason) -> Loaded:
        """The profile in a ConfigMap, or in those that it leads to. Raises ApiError, MissingParts."""
        try:
            first = content(await self._api.get(CONFIG_MAPS, namespace, name))
            further = further_names(name, first)
            parts = [first, *[await self._part(namespace, name, each) for each in further]]
            return decoded(join_profile(parts) if further else first, name, good)
        except DriftlineError as error:
            said = str(error)
            return Loaded(
                Reference(
                    ReferenceReason.PROFILE_INVALID, said if name in said else f"ConfigMap {name}: {said}"
                )
            )

    async def _part(self, namespace: str, name: str, part: str) -> bytes:
        try:
            return content(await self._api.get(CONFIG_MAPS, namespace, part))
        except ApiError as error:
            if not error.missing:
                raise
            raise MissingParts(
                f"ConfigMap {name} leads to {part}, which isn't there: use `driftline profile apply`"
            ) from error


def shelved(loaded: Loaded, shelf: Shelf) -> Loaded:
    """With its encoded profile in a file."""
    reference = loaded.reference
    return loaded._replace(reference=reference._replace(content=shelf.keep(reference.profile)))


class MissingParts(Exception):
    """A part of a profile isn't there; the message says which, and what to do."""


def content(config_map: Object) -> bytes:
    """The profile, or the part of one, in a ConfigMap. Raises ProfileError where there is none."""
    name = config_map["metadata"]["name"]
    binary: Mapping[str, str] = config_map.get("binaryData") or {}
    if names.PROFILE_KEY not in binary:
        raise ProfileError(
            f"ConfigMap {name} has no binaryData.{names.PROFILE_KEY}: make it with "
            f"`driftline profile apply FILE --name {name}`"
        )
    return base64.b64decode(binary[names.PROFILE_KEY])


def decoded(raw: bytes, name: str, good: ReferenceReason) -> Loaded:
    """A whole profile, where it is a good one that sidecars can mount. Raises ProfileError."""
    profile = decode_profile(raw, f"ConfigMap {name}")
    if len(raw) > MOST_BYTES:
        said = too_large(f"the profile in ConfigMap {name}", len(raw))
        return Loaded(Reference(ReferenceReason.PROFILE_TOO_LARGE, said))
    said = f"{profile.rows:,} rows, {len(profile.features)} columns, {profile.hash[:12]}"
    return Loaded(Reference(good, said, raw, profile.hash), profile.for_judging())


def too_large(what: str, size: int) -> str:
    """What is said of a profile that doesn't fit."""
    return f"{what} has {size:,} bytes, ConfigMaps hold {MOST_BYTES:,}: watch fewer features"
