"""Text to trees: YAML or JSON as people and tools write it, read within fixed bounds.

Built on the parser's events, not its constructors: so nothing is recursive in C, an alias costs
what it expands to, no tag builds an object, duplicate keys are seen, and an unquoted word keeps its
text. YAML 1.1 (which kubectl reads) turns `on`, `n`, `1.10` into something else than was meant;
`Plain` lets the reader of the tree say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml

from driftline.errors import InvalidSpec, Problem

MAX_BYTES = 1_048_576
"""No monitor is longer: an object in etcd can't be."""
MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_DOCUMENTS = 256


class Plain(NamedTuple):
    """An unquoted scalar that YAML reads as something else than text: what it says and what it means."""

    text: str
    value: bool | int | float | None


class Mapping(dict[str, object]):
    """A mapping with what a dict can't tell: keys that were there twice, keys that YAML 1.1 misreads."""

    def __init__(self) -> None:
        super().__init__()
        self.duplicates: list[str] = []
        self.misread: list[str] = []


_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
for _word in ("true", "yes", "on"):
    _WORDS |= {_word: True, _word.title(): True, _word.upper(): True}
for _word in ("false", "no", "off"):
    _WORDS |= {_word: False, _word.title(): False, _word.upper(): False}
_WORDS |= {"y": True, "Y": True, "n": False, "N": False}

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_BASED = re.compile(r"[-+]?0(?:x[0-9a-fA-F_]+|b[01_]+|o?[0-7_]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONGEST_NUMBER = 100


def resolve(text: str) -> str | Plain:
    """What an unquoted scalar means to the YAML readers of Kubernetes: text, or a Plain."""
    if text in _WORDS:
        return Plain(text, _WORDS[text])
    if len(text) > _LONGEST_NUMBER or text[0] not in "+-.0123456789":
        return text
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(text):
        return Plain(text, int(digits))
    if _BASED.fullmatch(text):
        return _based(text, digits)
    if _FLOAT.fullmatch(text):
        return Plain(text, float(digits))
    if _SPECIAL.fullmatch(text):
        return Plain(text, float(digits.replace(".", "")))
    return text


def _based(text: str, digits: str) -> str | Plain:
    octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)
    try:
        return Plain(text, int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0))
    except ValueError:  # nothing but underscores after the prefix
        return text


def read_documents(raw: bytes | str) -> list[object]:
    """The trees of all documents that hold anything: Mapping, list, str, Plain and JSON's scalars.

    Raises InvalidSpec with the line for what is no YAML, for tags, and for what is larger, deeper
    or more (aliases expanded) than any monitor is.
    """
    text = _text(raw)
    if text.lstrip()[:1] in ("{", "["):
        try:
            return [json.loads(text, object_pairs_hook=_pairs)]
        except (ValueError, RecursionError):  # YAML may begin so, too, and says the line
            pass
    return [tree for tree in _Reader(_events(text)).documents() if tree is not None]


def _text(raw: bytes | str) -> str:
    if len(raw) > MAX_BYTES:
        raise _refused(f"is longer than {MAX_BYTES} bytes; no monitor is")
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(f"is not UTF-8 (byte {error.start})") from error


def _pairs(pairs: Iterable[tuple[str, object]]) -> Mapping:
    mapping = Mapping()
    for key, value in pairs:
        if key in mapping:
            mapping.duplicates.append(key)
        mapping[key] = value
    return mapping


def _refused(message: str) -> InvalidSpec:
    return InvalidSpec([Problem("", message)])


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        at = _at(error.problem_mark or error.context_mark)
        context = f"{error.context}: " if error.context else ""
        raise _refused(f"{at}is no YAML: {context}{error.problem}{_cause(text, error)}") from error
    except yaml.YAMLError as error:
        raise _refused(f"is no YAML: {error}") from error


def _at(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""


def _cause(text: str, error: yaml.MarkedYAMLError) -> str:
    """For the mistakes that YAML's own words hide."""
    if "\t" in text and "cannot start any token" in str(error.problem):
        return " (a tab: indent with spaces)"
    if "mapping values are not allowed" in str(error.problem):
        return " (a second `: ` in the line, or wrong indentation: quote the value or align the key)"
    return ""


class _Reader:
    """Builds trees from events; counts what aliases expand to."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, tuple[object, int]] = {}
        self._nodes = 0
        self._depth = 0

    def documents(self) -> Iterator[object]:
        count = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > MAX_DOCUMENTS:
                    raise _refused(f"holds more than {MAX_DOCUMENTS} documents")
                self._anchors.clear()
                tree = self._node(next(self._events))
                yield None if isinstance(tree, Plain) and tree.value is None else tree

    def _node(self, event: Any) -> object:
        self._count(1, event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _refused(f"{_at(event.start_mark)}no anchor &{event.anchor} stands before this alias")
            tree, size = self._anchors[event.anchor]
            self._count(size, event)
            return tree
        before = self._nodes
        tree = self._tree(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (tree, self._nodes - before + 1)
        return tree

    def _count(self, nodes: int, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _refused(f"{_at(event.start_mark)}holds more than {MAX_NODES} values (aliases expanded)")

    def _tree(self, event: Any) -> object:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise _refused(f"{_at(event.start_mark)}tags such as {event.tag[:60]} are not understood")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and not event.style and event.tag is None
            return resolve(event.value) if plain else event.value
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(f"{_at(event.start_mark)}is nested deeper than {MAX_DEPTH} levels")
        tree = self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._sequence()
        self._depth -= 1
        return tree

    def _sequence(self) -> list[object]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event))
        return items

    def _mapping(self) -> Mapping:
        mapping = Mapping()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, mapping)
            value = self._node(next(self._events))
            if key in mapping:
                mapping.duplicates.append(key)
            mapping[key] = value
        return mapping

    def _key(self, event: Any, mapping: Mapping) -> str:
        key = self._node(event)
        if isinstance(key, Plain):
            if isinstance(key.value, bool):
                mapping.misread.append(key.text)
            key = key.text
        if not isinstance(key, str):
            raise _refused(f"{_at(event.start_mark)}a key must be text, not {type(key).__name__.lower()}")
        if key == "<<":
            raise _refused(f"{_at(event.start_mark)}merge keys (<<) are not understood: write the fields out")
        return key
