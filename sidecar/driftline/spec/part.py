"""What all parts of a spec share: they check themselves at birth.

A part declares its fields once, as annotated msgspec types: the constraints and descriptions serve
the constructor, the decoder and the CRD alike. What a type can't say is a method named `_check_*`,
a generator of problems with paths relative to the part. The decoder runs the same checks on a part
of which some fields could not be built (`driftline.decoding`), so they only read attributes.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import msgspec
from msgspec import inspect

from driftline.errors import InvalidSpec, Problem

Check = Callable[[Any], Iterator[Problem]]

FREE_TEXT = r"^[^\ud800-\udfff]*\Z"
"""The pattern of text that others write, line breaks included: annotations, such as `kubectl apply` makes."""


class Rule(NamedTuple):
    """A check as a CEL expression over `self`, for the API server; the message says the same."""

    expression: str
    message: str


class Part(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """The base of every struct of a spec. Constructing an invalid one raises InvalidSpec."""

    TOLERATED: ClassVar[frozenset[str]] = frozenset()
    """Fields on the wire that are read past without a word: Kubernetes' own."""
    RULES: ClassVar[tuple[Rule, ...]] = ()
    """The CEL counterparts of the `_check_*` methods."""
    SCHEMA: ClassVar[dict[str, dict[str, Any]]] = {}
    """By field: what the CRD's schema says beside what the type does (list keys and the like)."""

    def __post_init__(self) -> None:
        problems = [*type_problems(self)]
        if not problems:  # the checks may rely on the types
            problems = [problem for check in checks_of(type(self)) for problem in check(self)]
        if problems:
            raise InvalidSpec(problems)


def twice(field: str, values: tuple[str, ...]) -> Iterator[Problem]:
    """Where a value of a list is there a second time."""
    counts = Counter(values)
    for index, value in enumerate(values):
        if counts[value] > 1 and value in values[:index]:
            yield Problem(f"{field}[{index}]", f"is there twice ({value!r})")


def prefixed(path: str, field: str | int) -> str:
    """The path of a field (str) or an item (int) below `path`."""
    step = f"[{field}]" if isinstance(field, int) else field
    return f"{path}.{step}" if path and isinstance(field, str) else f"{path}{step}"


@functools.cache
def struct_type(cls: type[Part]) -> inspect.StructType:
    """msgspec's description of a part: fields, constraints, defaults."""
    found = inspect.type_info(cls)
    assert isinstance(found, inspect.StructType)  # noqa: S101 - what type_info returns for a Struct
    return found


@functools.cache
def checks_of(cls: type[Part]) -> tuple[Check, ...]:
    """The `_check_*` methods in the order in which they are written."""
    return tuple(check for name, check in vars(cls).items() if name.startswith("_check_"))


def type_problems(part: Part) -> Iterator[Problem]:
    """Where a part built in code doesn't hold what its annotations say."""
    for field in struct_type(type(part)).fields:
        yield from _value_problems(getattr(part, field.name), field.type, field.encode_name)


def _value_problems(value: object, kind: inspect.Type, path: str) -> Iterator[Problem]:
    kind = unwrap(kind)
    if isinstance(kind, inspect.UnionType):
        kind = next((option for option in kind.types if fits(value, option)), kind)
    if not fits(value, kind):
        yield Problem(path, f"must be {describe(kind)}, not {show(value)}")
    elif (message := constraint_problem(value, kind)) is not None:
        yield Problem(path, message)
    elif isinstance(kind, inspect.VarTupleType) and isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _value_problems(item, kind.item_type, prefixed(path, index))
    elif isinstance(kind, inspect.DictType) and isinstance(value, dict):
        for key, item in value.items():
            yield from _value_problems(item, kind.value_type, prefixed(path, str(key)))


def unwrap(kind: inspect.Type) -> inspect.Type:
    """The type without its description."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def options(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """The alternatives of a union without null; the type itself where it is none."""
    kind = unwrap(kind)
    if isinstance(kind, inspect.UnionType):
        return tuple(unwrap(t) for t in kind.types if not isinstance(unwrap(t), inspect.NoneType))
    return (kind,)


_PLAIN: dict[type[inspect.Type], tuple[type, ...]] = {
    inspect.StrType: (str,),
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.BoolType: (bool,),
    inspect.NoneType: (type(None),),
    inspect.VarTupleType: (tuple,),
    inspect.DictType: (dict,),
}


def fits(value: object, kind: inspect.Type) -> bool:
    """Is the value of that type, constraints apart? A bool is no number here."""
    kind = unwrap(kind)
    if isinstance(kind, inspect.UnionType):
        return any(fits(value, option) for option in kind.types)
    if isinstance(kind, inspect.LiteralType):
        return value in kind.values
    if isinstance(kind, inspect.StructType | inspect.CustomType):
        return isinstance(value, kind.cls)
    if isinstance(value, bool) and not isinstance(kind, inspect.BoolType):
        return False
    return isinstance(value, _PLAIN[type(kind)])


def constraint_problem(value: object, kind: inspect.Type) -> str | None:
    """What a value of the right type violates, as `must be ...`; None where it is fine."""
    kind = unwrap(kind)
    if isinstance(kind, inspect.IntType | inspect.FloatType) and isinstance(value, int | float):
        return _number_problem(value, kind)
    if isinstance(kind, inspect.StrType) and isinstance(value, str):
        return _text_problem(value, kind)
    if isinstance(kind, inspect.VarTupleType | inspect.DictType) and isinstance(value, tuple | dict):
        low, high = kind.min_length, kind.max_length
        if low is not None and len(value) < low:
            return f"must hold at least {low} ({len(value)})"
        if high is not None and len(value) > high:
            return f"must hold at most {high} ({len(value)})"
    return None


def _number_problem(value: float, kind: inspect.IntType | inspect.FloatType) -> str | None:
    if value != value or value in (float("inf"), float("-inf")):
        return f"must be a finite number, not {value}"
    if kind.gt is not None and value <= kind.gt:
        return f"must be above {kind.gt:g} ({value:g})"
    if kind.ge is not None and value < kind.ge:
        return f"must be at least {kind.ge:g} ({value:g})"
    if kind.lt is not None and value >= kind.lt:
        return f"must be below {kind.lt:g} ({value:g}{_as_share(value, kind.lt)})"
    if kind.le is not None and value > kind.le:
        return f"must be at most {kind.le:g} ({value:g}{_as_share(value, kind.le)})"
    return None


def _as_share(value: float, most: float) -> str:
    """Of a share that was written in percent: what was meant, maybe."""
    return f"; did you mean {value / 100:g}?" if most == 1 and 2 < value <= 100 else ""


def _text_problem(value: str, kind: inspect.StrType) -> str | None:
    if kind.min_length is not None and len(value) < kind.min_length:
        return "must not be empty"
    if kind.max_length is not None and len(value) > kind.max_length:
        return f"must have at most {kind.max_length} characters ({len(value)})"
    if kind.pattern != FREE_TEXT and any(
        ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 or c in "\x7f\x85\u2028\u2029\ufeff" for c in value
    ):
        return f"must not hold control characters ({value!r})"
    if kind.pattern is not None and re.search(kind.pattern, value) is None:
        return f"must match {kind.pattern}, not {show(value)}"
    return None


_NAMES: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.NoneType: "null",
    inspect.VarTupleType: "a list",
    inspect.DictType: "a mapping",
    inspect.StructType: "a mapping",
}


def describe(kind: inspect.Type) -> str:
    """A type in words, as in `must be {...}`."""
    kinds = options(kind)
    words: list[str] = []
    for option in kinds:
        if isinstance(option, inspect.LiteralType):
            words.extend(str(value) for value in option.values)
        elif isinstance(option, inspect.CustomType):
            words.append(f"a {option.cls.__name__.lower()}")
        else:
            words.append(_NAMES[type(option)])
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def show(value: object) -> str:
    """A value in a message, shortened: messages name it, they don't repeat a body."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | Part):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
