"""The ConfigMap in which a shadow's course and pairs outlive the controller. Pure.

What is read back changes live workloads by the controller's rights, and others may write ConfigMaps: it is
signed with a key of the namespace's token, HMAC-SHA256, and what isn't is not believed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from driftline_operator import names
from driftline_operator.cluster.resources import CONFIG_MAPS, Object
from driftline_operator.controller.plan.objects import Desired
from driftline_operator.shadow.candidate import metadata
from driftline_operator.shadow.course import Course, decode, encode, fingerprint
from driftline_operator.shadow.observed import ObservedShadow, as_promoted
from driftline_operator.shadow.reasons import Ending, Promotion

_PURPOSE: Final = b"driftline shadow course 1"
_ROLLING: Final = (Promotion.ROLLING_OUT, Promotion.ROLLING_BACK)


class Restored(NamedTuple):
    """What a controller goes on with."""

    course: Course
    pairs: bytes = b""


def key_of_token(token: str) -> bytes:
    """The key that controllers sign with; not the marker's."""
    return hmac.digest(token.encode(), _PURPOSE, "sha256")


def kept(
    observed: ObservedShadow,
    course: Course,
    pairs: bytes,
    texts: Mapping[str, str],
    key: bytes | None = None,
) -> Desired:
    """It as it should be. `texts`: by key, what is kept for people; empty ones are left out.

    `key`: to sign with; None: there is none yet.
    """
    text = encode(course)
    signature = "" if key is None else _mac(key, text, pairs)
    texts = {names.SIGNATURE_KEY: signature, **texts}
    kind = {"apiVersion": CONFIG_MAPS.api_version, "kind": CONFIG_MAPS.kind}
    content = {
        "data": {names.COURSE_KEY: text} | {name: text for name, text in texts.items() if text},
        "binaryData": {names.PAIRS_KEY: base64.b64encode(pairs).decode()} if pairs else {},
    }
    body = {**kind, "metadata": metadata(observed, names.shadow_config_map(observed.name)), **content}
    return Desired(CONFIG_MAPS, observed.namespace, body)


def restored(observed: ObservedShadow, found: Object | None, key: bytes | None) -> Restored:
    """What was kept, where it is authentic; else a new course, `anew` if one had begun.

    A promotion that is under way is gone on with, though the spec is of another generation by now.
    One that had ended, or was promoting, by its status, which only the API server's rights protect, does not
    begin again by itself: its candidate could be promoted a second time.
    """
    data, pairs = (found or {}).get("data") or {}, _pairs(found or {})
    text, signature = str(data.get(names.COURSE_KEY, "")), str(data.get(names.SIGNATURE_KEY, ""))
    signed = key is not None and hmac.compare_digest(_mac(key, text, pairs).encode(), signature.encode())
    if signed:
        # Only while the status speaks of it: later it is an old one that somebody has put back.
        observed = as_promoted(observed, decode(text, observed.uid, _generation_told(observed)))
    told, new = _told(observed), Course(uid=observed.uid, generation=observed.generation)
    if not text and told == _Told():
        return Restored(new)
    course = decode(text, observed.uid, observed.generation) if signed else new
    if signed and _is_whole(course) and _is_as_told(course, told):
        return Restored(course, pairs)
    ended = Ending.NOT_AUTHENTIC if told.promoting else told.ended
    return Restored(msgspec.structs.replace(new, anew=True, ended=ended))


class _Told(NamedTuple):
    """What the status says of this generation."""

    begun: bool = False
    ended: Ending | None = None
    promoting: bool = False


def _generation_told(observed: ObservedShadow) -> int:
    return int((observed.body.get("status") or {}).get("observedGeneration") or 0)


def _told(observed: ObservedShadow) -> _Told:
    status = observed.body.get("status") or {}
    if _generation_told(observed) != observed.generation:
        return _Told()
    found = {each["type"]: each for each in status.get("conditions") or []}
    finished: Mapping[str, Any] = found.get("Finished") or {}
    ended = _ending(finished.get("reason")) if finished.get("status") == "True" else None
    promoting = (found.get("Promoted") or {}).get("reason") in _ROLLING
    return _Told(bool(status.get("started")), ended, promoting)


def _ending(reason: Any) -> Ending:
    """What another release calls otherwise, or somebody has written there, has ended all the same."""
    return next((each for each in Ending if each == reason), Ending.NOT_AUTHENTIC)


def _is_as_told(course: Course, told: _Told) -> bool:
    """Not older than the status, which is written later: who may write ConfigMaps can put an old one back.

    What `duration` has ended may be promoted still.
    """
    over = told.ended not in (None, Ending.DURATION_OVER)
    return (course.began is not None or not told.begun) and (course.ended is not None or not over)


def _is_whole(course: Course) -> bool:
    """A rollback brings back what was compared with, and nothing else."""
    rollout = course.rollout
    return rollout is None or fingerprint(rollout.before) == course.live


def _pairs(found: Object) -> bytes:
    try:
        return base64.b64decode((found.get("binaryData") or {}).get(names.PAIRS_KEY, ""))
    except binascii.Error:
        return b""


def _mac(key: bytes, text: str, pairs: bytes) -> str:
    """Of both, with their lengths, so that nothing can go from one to the other."""
    return hmac.new(key, msgspec.msgpack.encode((text, pairs)), "sha256").hexdigest()
