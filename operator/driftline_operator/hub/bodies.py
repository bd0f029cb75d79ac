"""Requests' bodies into events: JSON (one, a list) and NDJSON. Of files of labels: `label_files`.

All of it or nothing: what can't be taken raises Refusal, which names the field and its value.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec
from driftline.events import MOST_EVENTS

from driftline_operator.hub.refusal import Refusal

JSON: Final = "application/json"
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonlines")
_MOST_SHOWN: Final = 1 << 16
"""Bytes of a document that is decoded once more to show what is wrong in it."""
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_T = TypeVar("_T")
_PATH = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def one(body: bytes, kind: type[_T]) -> _T:
    """A JSON document. Raises Refusal (400)."""
    try:
        found = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _refused(error, body, "") from error
    except _BAD as error:
        raise Refusal(400, f"the body is no JSON: {error}") from error
    _check_text(body)
    return found


def several(body: bytes, content_type: str, kind: type[_T], name: str) -> list[_T]:
    """Events of one kind; `name` is what they are called in refusals. Raises Refusal (400, 413, 415)."""
    if content_type in NDJSON:
        events = _lines(body, kind, name)
    elif content_type == JSON:
        events = _array(body, kind, name)
    else:
        raise Refusal(415, f"must be {JSON} or {NDJSON[0]}", field="Content-Type", value=content_type)
    if len(events) > MOST_EVENTS:
        raise _too_many(name)
    _check_text(body)
    return events


def _too_many(name: str) -> Refusal:
    return Refusal(413, f"at most {MOST_EVENTS} events in a request", field=name)


def _array(body: bytes, kind: type[_T], name: str) -> list[_T]:
    single = body.lstrip()[:1] != b"["
    try:
        if single:
            return [msgspec.json.decode(body, type=kind)]
        return msgspec.json.decode(body, type=list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise _refused(error, body, f"{name}[0]" if single else name) from error
    except _BAD as error:
        raise Refusal(400, f"the body is no JSON: {error}") from error


def _lines(body: bytes, kind: type[_T], name: str) -> list[_T]:
    decoder = msgspec.json.Decoder(kind)
    events: list[_T] = []
    for number, line in enumerate(body.splitlines()):
        if not line.strip():
            continue
        if len(events) == MOST_EVENTS:
            raise _too_many(name)
        try:
            events.append(decoder.decode(line))
        except msgspec.ValidationError as error:
            raise _refused(error, line, f"{name}[{len(events)}]") from error
        except _BAD as error:
            raise Refusal(400, f"line {number + 1} is no JSON: {error}") from error
    return events


def _refused(error: msgspec.ValidationError, body: bytes, root: str) -> Refusal:
    text = str(error)
    found = _PATH.search(text)
    path = found.group(1) if found else ""
    field = (root + path).removeprefix(".") or "body"
    return Refusal(400, text[: found.start()] if found else text, field=field, value=_value_at(body, path))


def _value_at(body: bytes, path: str) -> object:
    """What stands there; for refusals only: it decodes once more, a document of usual size."""
    if len(body) > _MOST_SHOWN:
        return None
    try:
        value: Any = msgspec.json.decode(body)
    except _BAD:  # a number that no float holds
        return None
    for name, index in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return None if isinstance(value, dict | list) else value


_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""In JSON: the escape, its backslash not escaped itself."""


def _check_text(body: bytes) -> None:
    """PostgreSQL can't store NUL in a text; neither database shall. Raises Refusal (400)."""
    if _NUL.search(body):
        raise Refusal(400, "texts must not hold the character NUL (\\u0000)")
