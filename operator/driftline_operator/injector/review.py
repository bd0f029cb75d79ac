"""An AdmissionReview in, an answer out. A pod is never refused: what goes wrong admits it with a warning."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from driftline_operator.injection.decide import Decision
from driftline_operator.injection.told import Told
from driftline_operator.injection.told import read as read_told

_log = logging.getLogger(__name__)

_API: Final = "admission.k8s.io/v1"
_MOST_WARNING: Final = 256
"""Characters; the API server cuts longer warnings, and all of them at 4,096."""


class BadReview(ValueError):
    """What was sent is no AdmissionReview of a pod's creation."""


class Question(NamedTuple):
    """What the API server asks about."""

    uid: str
    namespace: str
    pod: Mapping[str, Any]
    told: Told = Told()
    """By the path: what the controller has decided for the namespace."""


class Answer(NamedTuple):
    """What it is told, and the word under which that is counted."""

    body: bytes
    word: str


def read(body: bytes, path: str = "") -> Question:
    """The question in a review. `path`: what stands behind the entry's own path. Raises BadReview."""
    try:
        review = msgspec.json.decode(body)
        request = review["request"]
        told = read_told(path)
        question = Question(str(request["uid"]), str(request["namespace"]), request["object"], told)
        kind, operation = request["kind"]["kind"], request["operation"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise BadReview(f"no AdmissionReview of {_API}: {type(error).__name__}") from error
    if kind != "Pod" or operation != "CREATE" or not isinstance(question.pod, dict):
        raise BadReview(f"only the creation of pods is reviewed, not {operation} of {kind}")
    return question


def answer(question: Question, decide: Callable[[Question], Decision]) -> Answer:
    """Admit the pod, with a patch where it is injected; an error of `decide` becomes a warning."""
    try:
        decision = decide(question)
    except Exception as error:  # noqa: BLE001 - a pod must start, whatever is wrong with us
        _log.error("a review failed: %s", _where(error))
        warning = f"driftline: {type(error).__name__}: the pod starts without sidecar"
        return Answer(_response(question.uid, (), [warning]), "InternalError")
    warnings = [
        f"driftline: {each.monitor}: {each.reason.value}: {each.message}" for each in decision.refused
    ]
    return Answer(_response(question.uid, decision.patch, warnings), decision.word)


def _where(error: Exception) -> str:
    """What went wrong and where, without its message: that may quote the pod."""
    places = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at " + ", ".join(f"{at.filename}:{at.lineno}" for at in places[-3:])


def _response(uid: str, patch: tuple[dict[str, Any], ...], warnings: list[str]) -> bytes:
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if warnings:
        response["warnings"] = [each[:_MOST_WARNING] for each in warnings]
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(patch)).decode()
    return msgspec.json.encode({"apiVersion": _API, "kind": "AdmissionReview", "response": response})
