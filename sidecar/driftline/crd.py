"""The CustomResourceDefinitions, generated from the spec types.

A structural OpenAPI v3 schema: types, constraints, defaults and descriptions come from the
annotations, CEL rules from each part's RULES. Everything that a rule walks over has a maximum, so that
the API server can bound its cost. Writing the file is the command line's (`driftline_cli.crds`).
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import msgspec
import yaml
from msgspec import inspect

from driftline.quantity import MAX_TEXT, Duration, Size
from driftline.spec import (
    KIND,
    SHADOW_KIND,
    Fragment,
    MonitorSpec,
    MonitorStatus,
    Part,
    ShadowSpec,
    ShadowStatus,
)
from driftline.spec.part import options, struct_type

GROUP = "driftline.io"
VERSION = "v1alpha1"

_HEADER = "# Generated from the types of sidecar/driftline/spec by `make crds`; a test holds the two equal.\n"


class Definition(NamedTuple):
    """What one custom resource is called, made of and shown as."""

    kind: str
    plural: str
    short_name: str
    summary: str
    spec: type[Part]
    status: type[Part]
    columns: tuple[tuple[str, str, str, str], ...]
    """Printer columns: name, type, path, description."""

    @property
    def name(self) -> str:
        """The CRD's own name, which is its file's too."""
        return f"{self.plural}.{GROUP}"


_MONITOR_COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether the model is monitored."),
    ("Injected", "string", ".status.injected", "Pods that carry the sidecar."),
    ("Drift", "string", '.status.conditions[?(@.type=="DataDrift")].status', "Whether the inputs drift."),
    (
        "Performance",
        "string",
        '.status.conditions[?(@.type=="Performance")].reason',
        "How good the model was by its labels, in one word.",
    ),
    ("Worst feature", "string", ".status.worstFeature", "The feature that drifts most."),
    ("Rows", "integer", ".status.rows", "Rows in the longest window."),
    ("Age", "date", ".metadata.creationTimestamp", "How long the monitor has existed."),
)

_SHADOW_COLUMNS = (
    ("Monitor", "string", ".spec.monitorRef.name", "The monitor of the live model."),
    ("Verdict", "string", ".status.verdict", "Promotable, Rejected or Inconclusive."),
    ("Reason", "string", ".status.reason", "Why."),
    ("Pairs", "integer", ".status.pairs", "Requests that were compared."),
    ("Coverage", "number", ".status.coverage", "Share of the eligible requests that were paired."),
    ("Age", "date", ".metadata.creationTimestamp", "How long the shadow has existed."),
)

MODEL_MONITOR = Definition(
    KIND,
    "modelmonitors",
    "mm",
    "Watches a deployed model: latency, data quality and drift of its live traffic.",
    MonitorSpec,
    MonitorStatus,
    _MONITOR_COLUMNS,
)
SHADOW_DEPLOYMENT = Definition(
    SHADOW_KIND,
    "shadowdeployments",
    "sd",
    "Runs a candidate model on the live traffic, unseen, and says whether it may be promoted.",
    ShadowSpec,
    ShadowStatus,
    _SHADOW_COLUMNS,
)
DEFINITIONS = (MODEL_MONITOR, SHADOW_DEPLOYMENT)


def crd(of: Definition = MODEL_MONITOR) -> dict[str, Any]:
    """The CustomResourceDefinition as plain dicts and lists, apiextensions.k8s.io/v1."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": of.name},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": of.kind,
                "listKind": f"{of.kind}List",
                "plural": of.plural,
                "singular": of.kind.lower(),
                "shortNames": [of.short_name],
                "categories": ["driftline"],
            },
            "scope": "Namespaced",
            "versions": [_version(of)],
        },
    }


def crd_yaml(of: Definition = MODEL_MONITOR) -> str:
    """The file's text: a comment that says where it comes from, and the CRD."""
    text: str = yaml.safe_dump(crd(of), sort_keys=False, allow_unicode=True, width=110)
    return _HEADER + text


def _version(of: Definition) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": description}
            for name, kind, path, description in of.columns
        ],
        "schema": {"openAPIV3Schema": _root(of)},
    }


_NAME = {
    "description": "Its name, unique within its namespace: at most 63 characters.",
    "type": "string",
    "maxLength": 63,
}


def _root(of: Definition) -> dict[str, Any]:
    return {
        "type": "object",
        "description": of.summary,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{of.kind}."},
            # A longer one would fit neither a label nor the name of a webhook entry.
            "metadata": {"type": "object", "properties": {"name": _NAME}},
            "spec": _with_text(schema_of(struct_type(of.spec)), _summary(of.spec)),
            "status": _with_text(schema_of(struct_type(of.status)), _summary(of.status)),
        },
    }


def schema_of(kind: inspect.Type) -> dict[str, Any]:
    """The structural schema of a type; a description stands first, where there is one."""
    if isinstance(kind, inspect.Metadata):
        extra = dict(kind.extra_json_schema or {})
        text = extra.pop("description", None)
        return _with_text({**schema_of(kind.type), **extra}, text)
    kinds = options(kind)
    if len(kinds) > 1:
        return _int_or_string(kinds)
    if isinstance(kind, inspect.UnionType):  # with null: what else the option says is said of it
        return next(schema_of(each) for each in kind.types if not isinstance(each, inspect.NoneType))
    kind = kinds[0]
    if isinstance(kind, inspect.StructType):
        return _object(kind)
    if isinstance(kind, inspect.VarTupleType):
        bounds = _given(minItems=kind.min_length, maxItems=kind.max_length)
        return {"type": "array", **bounds, "items": schema_of(kind.item_type)}
    if isinstance(kind, inspect.DictType):
        bounds = _given(maxProperties=kind.max_length)
        return {"type": "object", **bounds, "additionalProperties": schema_of(kind.value_type)}
    return _scalar(kind)


def _scalar(kind: inspect.Type) -> dict[str, Any]:
    if isinstance(kind, inspect.LiteralType):
        return {"type": "string", "enum": list(kind.values)}
    if isinstance(kind, inspect.BoolType):
        return {"type": "boolean"}
    if isinstance(kind, inspect.StrType):
        return {"type": "string", **_text_bounds(kind)}
    if isinstance(kind, inspect.IntType):
        return {"type": "integer", "format": "int64", **_number_bounds(kind)}
    if isinstance(kind, inspect.FloatType):
        return {"type": "number", **_number_bounds(kind)}
    if isinstance(kind, inspect.CustomType) and kind.cls is Duration:
        return {"type": "string", "maxLength": MAX_TEXT, "pattern": Duration.PATTERN}
    if isinstance(kind, inspect.CustomType) and kind.cls is Size:
        return {**_either(), "maxLength": MAX_TEXT, "pattern": Size.PATTERN}
    if isinstance(kind, inspect.CustomType) and kind.cls is Fragment:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    raise TypeError(f"no schema for {kind}")


def _either() -> dict[str, Any]:
    """The one form in which a structural schema may say `anyOf` types; made anew, for YAML would alias it."""
    return {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}


def _int_or_string(kinds: tuple[inspect.Type, ...]) -> dict[str, Any]:
    """A number or a name: bounds of the number and form of the name, each for its own kind of value."""
    schema = _either()
    for kind in kinds:
        if isinstance(kind, inspect.IntType):
            schema |= _number_bounds(kind)
        elif isinstance(kind, inspect.StrType):
            schema |= _text_bounds(kind)
        else:
            raise TypeError(f"no schema for {kinds}")
    return schema


def _object(kind: inspect.StructType) -> dict[str, Any]:
    part = cast(type[Part], kind.cls)
    properties = {}
    for field in kind.fields:
        schema = {**schema_of(field.type), **part.SCHEMA.get(field.encode_name, {})}
        default = _default(field)
        if default is not None:
            schema["default"] = default
        properties[field.encode_name] = schema
    schema = {"type": "object", "properties": properties}
    required = [field.encode_name for field in kind.fields if field.required]
    if required:
        schema["required"] = required
    if part.RULES:
        schema["x-kubernetes-validations"] = [
            {"rule": rule.expression, "message": rule.message} for rule in part.RULES
        ]
    return schema


def _default(field: inspect.Field) -> object:
    """What the API server fills in; nothing where the default is absent or empty."""
    if field.required or field.default in (None, "", ()) or field.default is msgspec.NODEFAULT:
        return None
    wire: object = msgspec.to_builtins(field.default, enc_hook=str)
    return list(wire) if isinstance(wire, tuple) else wire


def _number_bounds(kind: inspect.IntType | inspect.FloatType) -> dict[str, Any]:
    bounds = _given(minimum=kind.ge if kind.gt is None else kind.gt)
    if kind.gt is not None:
        bounds["exclusiveMinimum"] = True
    bounds |= _given(maximum=kind.le if kind.lt is None else kind.lt)
    if kind.lt is not None:
        bounds["exclusiveMaximum"] = True
    return bounds


def _text_bounds(kind: inspect.StrType) -> dict[str, Any]:
    return _given(minLength=kind.min_length, maxLength=kind.max_length, pattern=kind.pattern)


def _given(**bounds: object) -> dict[str, Any]:
    return {name: value for name, value in bounds.items() if value is not None}


def _with_text(schema: dict[str, Any], text: str | None) -> dict[str, Any]:
    return {"description": text, **schema} if text else schema


def _summary(part: type[Part]) -> str:
    return (part.__doc__ or "").strip().splitlines()[0]
