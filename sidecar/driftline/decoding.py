"""From YAML or JSON to the spec types, with every problem at once.

msgspec's own decoder stops at the first problem and shows no unknown field's neighbour. This one
walks a tree along the types of `driftline.spec`: a part that can't be built becomes a `_Hole`, so
that the checks of the parts around it still run as far as they can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn, cast

import msgspec
import yaml
from msgspec import inspect

from driftline.documents import Mapping, Plain, read_documents, resolve
from driftline.errors import InvalidSpec, Problem
from driftline.quantity import Duration, Size
from driftline.routes import conflicts
from driftline.spec import API_VERSION, KIND, SHADOW_KIND, Fragment, ModelMonitor, Part, ShadowDeployment
from driftline.spec.part import (
    checks_of,
    constraint_problem,
    describe,
    fits,
    options,
    prefixed,
    show,
    struct_type,
    unwrap,
)

Kind = type[ModelMonitor] | type[ShadowDeployment]

_KINDS: dict[type[Part], str] = {ModelMonitor: KIND, ShadowDeployment: SHADOW_KIND}

MAX_PROBLEMS = 200
"""More would not be read; a hostile file could otherwise make a report larger than itself."""


def decode_monitor(raw: bytes | str, source: str = "") -> ModelMonitor:
    """The one monitor that `raw` (YAML or JSON) holds; `source` names it in the error's text.

    Raises InvalidSpec with all problems, also where there are several monitors.
    """
    monitors = decode_monitors(raw, source)
    if len(monitors) > 1:
        raise InvalidSpec([Problem("", f"holds {len(monitors)} monitors where one is expected")], source)
    return monitors[0]


def decode_monitors(raw: bytes | str, source: str = "") -> tuple[ModelMonitor, ...]:
    """All monitors that `raw` holds, one per YAML document and at least one.

    Raises InvalidSpec with every problem of every document; where there are several, paths begin
    with `documents[i]`. Monitors that claim the same requests are a problem too.
    """
    return cast(tuple[ModelMonitor, ...], _decode(raw, source, lambda tree: ModelMonitor))


def decode_resources(raw: bytes | str, source: str = "") -> tuple[ModelMonitor | ShadowDeployment, ...]:
    """The same for files that may hold ShadowDeployments too: each document is what its `kind` says."""
    return _decode(raw, source, _kind_of)


def _decode(
    raw: bytes | str, source: str, kind_of: Callable[[object], Kind | Problem]
) -> tuple[ModelMonitor | ShadowDeployment, ...]:
    try:
        documents = read_documents(raw)
    except InvalidSpec as error:
        raise InvalidSpec(error.problems, source) from error
    problems: list[Problem] = []
    built: list[ModelMonitor | ShadowDeployment] = []
    for index, tree in enumerate(documents):
        path = f"documents[{index}]" if len(documents) > 1 else ""
        kind = kind_of(tree)
        if isinstance(kind, Problem):  # what else it says is of another's form
            problems.append(_below(path, kind))
            continue
        one, found = _build(tree, path, kind)
        problems += found
        if one is not None:
            built.append(one)
    if not documents:
        problems.append(Problem("", "holds no document"))
    if not problems:
        problems += conflicts([one for one in built if isinstance(one, ModelMonitor)])
    if problems:
        raise InvalidSpec(problems[:MAX_PROBLEMS], source)
    return tuple(built)


def _kind_of(tree: object) -> Kind | Problem:
    kind = tree.get("kind") if isinstance(tree, dict) else None
    named = {name: cls for cls, name in _KINDS.items()}
    if isinstance(kind, str) and kind not in named:
        return Problem("kind", f"must be {' or '.join(named)}, not {show(kind)}")
    return ShadowDeployment if kind == SHADOW_KIND else ModelMonitor


def build_monitor(tree: object, source: str = "") -> ModelMonitor:
    """The monitor of an already decoded object, such as Kubernetes' API gives; raises InvalidSpec."""
    return cast(ModelMonitor, _built(tree, source, ModelMonitor))


def build_shadow(tree: object, source: str = "") -> ShadowDeployment:
    """The ShadowDeployment of an already decoded object; raises InvalidSpec."""
    return cast(ShadowDeployment, _built(tree, source, ShadowDeployment))


def _built(tree: object, source: str, cls: Kind) -> ModelMonitor | ShadowDeployment:
    found, problems = _build(tree, "", cls)
    if found is None:
        raise InvalidSpec(problems[:MAX_PROBLEMS], source)
    return found


def to_wire(resource: ModelMonitor | ShadowDeployment) -> dict[str, Any]:
    """The resource as plain dicts, lists and scalars; what is default is left out."""
    wire = msgspec.to_builtins(resource, enc_hook=str)
    return {"apiVersion": API_VERSION, "kind": _KINDS[type(resource)], **wire}


def encode_monitor(resource: ModelMonitor | ShadowDeployment) -> str:
    """The monitor (or shadow) as YAML that this decoder and kubectl read back to an equal one."""
    return to_yaml(to_wire(resource))


def to_yaml(tree: dict[str, Any]) -> str:
    """Plain dicts, lists and scalars as YAML that kubectl reads back to the same."""
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes every text that a YAML reader of Kubernetes would take for something else."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if isinstance(resolve(text), Plain) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _build(
    tree: object, path: str, cls: Kind
) -> tuple[ModelMonitor | ShadowDeployment | None, list[Problem]]:
    builder = _Builder()
    if isinstance(tree, dict):
        for field, value in (("apiVersion", API_VERSION), ("kind", _KINDS[cls])):
            if field not in tree:
                builder.add(prefixed(path, field), f"is required ({value})")
    built = builder.build(tree, struct_type(cls), path)
    if builder.problems:
        return None, builder.problems
    return cast("ModelMonitor | ShadowDeployment", built), []


class _Unknown(Exception):
    """A check has asked for what could not be built."""


def _unknown(*_: object) -> NoReturn:
    raise _Unknown


class _Hole:
    """Stands for what could not be built; holds the fields that could. Anything else asked of it ends
    the check that asks, also whether it is None: what isn't known is neither. Its hash is its own, so
    that looking for duplicates passes over it.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, object] | None = None) -> None:
        self._fields = fields or {}

    def __getattr__(self, name: str) -> object:
        if name not in self._fields:
            raise _Unknown
        return self._fields[name]

    def __hash__(self) -> int:
        return id(self)

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown
    __bool__ = __len__ = __iter__ = __call__ = __mod__ = __rmod__ = __contains__ = __format__ = _unknown


@dataclass(slots=True)
class _Builder:
    """One walk over a document; `problems` gathers what it meets."""

    problems: list[Problem]

    def __init__(self) -> None:
        self.problems = []

    def add(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def build(self, raw: object, kind: inspect.Type, path: str) -> Any:
        """The value of that type, or a _Hole after noting why not."""
        kind = unwrap(kind)
        if isinstance(kind, inspect.UnionType):
            kinds = options(kind)
            if len(kinds) > 1:
                return self._leaf(raw, kind, path)
            kind = kinds[0]
        if isinstance(kind, inspect.StructType):
            return self._struct(raw, kind, path)
        if isinstance(kind, inspect.VarTupleType):
            return self._tuple(raw, kind, path)
        if isinstance(kind, inspect.DictType):
            return self._dict(raw, kind, path)
        return self._leaf(raw, kind, path)

    def _struct(self, raw: object, kind: inspect.StructType, path: str) -> Any:
        if not isinstance(raw, dict):
            return self._refuse(raw, kind, path)
        cls = cast(type[Part], kind.cls)
        self._keys(raw, path)
        self._unknown_fields(raw, kind, cls.TOLERATED, path)
        values = {
            field.name: self._field(raw.get(field.encode_name), field, prefixed(path, field.encode_name))
            for field in kind.fields
        }
        if not any(isinstance(value, _Hole) or _has_holes(value) for value in values.values()):
            try:
                return cls(**values)
            except InvalidSpec as error:
                self.problems += [_below(path, problem) for problem in error.problems]
                return _Hole(values)
        hole = _Hole(values)
        for check in checks_of(cls):
            try:
                self._note(_below(path, problem) for problem in check(hole))
            except (_Unknown, TypeError, KeyError):  # it stumbled over a hole, which has been reported
                continue
        return hole

    def _note(self, problems: Iterable[Problem]) -> None:
        """What a check says of a part with holes; a place that has been reported is one of them."""
        reported = {problem.path for problem in self.problems}
        self.problems += (problem for problem in problems if problem.path not in reported)

    def _field(self, raw: object, field: inspect.Field, path: str) -> Any:
        """A field's value; null is the same as absent, as it is for Kubernetes."""
        if raw is None or (isinstance(raw, Plain) and raw.value is None):
            if field.required:
                self.add(path, "is required")
                return _Hole()
            return field.default_factory() if callable(field.default_factory) else field.default
        return self.build(raw, field.type, path)

    def _keys(self, raw: dict[str, object], path: str) -> None:
        if isinstance(raw, Mapping):
            for key in dict.fromkeys(raw.duplicates):
                self.add(_key_path(path, key), "is there twice: remove one")

    def _misread_keys(self, raw: dict[str, object], path: str) -> None:
        for key in raw.misread if isinstance(raw, Mapping) else ():
            self.add(_key_path(path, key), f'YAML reads the unquoted key {key} as a boolean: write "{key}"')

    def _unknown_fields(
        self, raw: dict[str, object], kind: inspect.StructType, tolerated: frozenset[str], path: str
    ) -> None:
        known = {_folded(field.encode_name): field.encode_name for field in kind.fields}
        for key in raw:
            if key not in tolerated and key not in known.values():
                close = get_close_matches(_folded(str(key)[:64]), list(known), n=1, cutoff=0.7)
                hint = (
                    f"did you mean {known[close[0]]}?" if close else f"there are {', '.join(known.values())}"
                )
                self.add(_key_path(path, str(key)), f"unknown field ({hint})")

    def _tuple(self, raw: object, kind: inspect.VarTupleType, path: str) -> Any:
        if not isinstance(raw, list | tuple):
            return self._refuse(raw, kind, path)
        high = kind.max_length
        items = tuple(
            self.build(item, kind.item_type, prefixed(path, index)) for index, item in enumerate(raw[:high])
        )
        message = constraint_problem(tuple(raw), kind)
        if message is None:
            return items
        self.add(path, message)
        return _Hole()

    def _dict(self, raw: object, kind: inspect.DictType, path: str) -> Any:
        if not isinstance(raw, dict):
            return self._refuse(raw, kind, path)
        self._keys(raw, path)
        self._misread_keys(raw, path)
        built = {}
        for key, value in raw.items():
            at = _key_path(path, str(key))
            built[self._leaf(key, kind.key_type, at)] = self.build(value, kind.value_type, at)
        message = constraint_problem(built, kind)
        if message is None:
            return built
        self.add(path, message)
        return _Hole()

    def _fragment(self, raw: object, path: str) -> Any:
        if not isinstance(raw, dict):
            self.add(path, f"must be a mapping, not {_shown(raw)}")
            return _Hole()
        return Fragment(self._passed_on(raw, path))

    def _passed_on(self, raw: object, path: str) -> Any:
        """What is not ours to read, with the values that Kubernetes' YAML readers see."""
        if isinstance(raw, Plain):
            if isinstance(raw.value, bool) and raw.text.lower() not in ("true", "false"):
                self.add(path, f'YAML reads the unquoted {raw.text} as {show(raw.value)}: write "{raw.text}"')
            return raw.value
        if isinstance(raw, list):
            return [self._passed_on(item, prefixed(path, index)) for index, item in enumerate(raw)]
        if not isinstance(raw, dict):
            return raw
        self._keys(raw, path)
        self._misread_keys(raw, path)
        return {key: self._passed_on(item, _key_path(path, str(key))) for key, item in raw.items()}

    def _leaf(self, raw: object, kind: inspect.Type, path: str) -> Any:
        value = raw.value if isinstance(raw, Plain) else raw
        for option in options(kind):
            if isinstance(option, inspect.CustomType) and option.cls is Fragment:
                return self._fragment(raw, path)
            if isinstance(option, inspect.CustomType):
                return self._quantity(value, option.cls, path)
            if fits(value, option):
                if isinstance(option, inspect.FloatType):
                    value = _as_float(cast(float, value))
                message = constraint_problem(value, option)
                if message is None:
                    return value
                self.add(path, message)
                return _Hole()
        return self._refuse(raw, kind, path)

    def _quantity(self, value: object, cls: type, path: str) -> Any:
        try:
            if cls is Duration and isinstance(value, str):
                return Duration.parse(value)
            if cls is Size and isinstance(value, str | int) and not isinstance(value, bool):
                return Size.parse(value)
        except ValueError as error:
            self.add(path, str(error))
            return _Hole()
        example = "duration such as 5m" if cls is Duration else "size such as 1Mi"
        seconds = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
        hint = f"; {value} seconds are {Duration(cast(int, value))}" if cls is Duration and seconds else ""
        self.add(path, f"must be a {example}, not {show(value)}{hint}")
        return _Hole()

    def _refuse(self, raw: object, kind: inspect.Type, path: str) -> _Hole:
        self.add(path, f"must be {describe(kind)}, not {_shown(raw)}{_quote_hint(raw, kind)}")
        return _Hole()


def _has_holes(value: object) -> bool:
    if isinstance(value, tuple):
        return any(isinstance(item, _Hole) for item in value)
    if isinstance(value, dict):
        return any(isinstance(item, _Hole) for pair in value.items() for item in pair)
    return False


def _below(path: str, problem: Problem) -> Problem:
    return Problem(prefixed(path, problem.path) if problem.path else path, problem.message)


def _folded(name: str) -> str:
    """What people confuse: minRows, min_rows, MinRows, min-rows."""
    return name.replace("_", "").replace("-", "").lower()


def _key_path(path: str, key: str) -> str:
    """A path that ends in a key as the file has it: quoted and cut where it is no plain name."""
    if key.isascii() and key.isidentifier() and len(key) <= 64:
        return prefixed(path, key)
    return f"{path}[{show(key)}]"


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer with hundreds of digits
        return float("inf") if value > 0 else float("-inf")


def _shown(raw: object) -> str:
    return show(raw.value if isinstance(raw, Plain) else raw)


def _quote_hint(raw: object, kind: inspect.Type) -> str:
    """Where text is wanted and YAML has read something else: how to write it."""
    wants_text = any(isinstance(option, inspect.StrType | inspect.LiteralType) for option in options(kind))
    if not (wants_text and isinstance(raw, Plain)) or raw.value is None:
        return ""
    if isinstance(raw.value, bool):
        return f': YAML reads the unquoted {raw.text} as {show(raw.value)}, write "{raw.text}"'
    return f': write it in quotes, "{raw.text}"'
