"""What is watched: the workload, its endpoint and the model behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from driftline.errors import Problem
from driftline.jsonpath import PATTERN, parse_path
from driftline.spec.part import Part, Rule

Protocol = Literal["auto", "json", "kserve-v1", "oip-v2", "mlflow"]
ModelType = Literal["classification", "regression", "ranking"]

PathText = Annotated[str, Meta(min_length=1, max_length=253)]
JsonPathText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        extra_json_schema={
            "x-kubernetes-validations": [
                {
                    "rule": f"self.matches({json.dumps(PATTERN)})",
                    "message": "is no JSON path "
                    "($.a.b, $.a[0], $.a[*].b, $['x y'] and $..name are understood)",
                }
            ]
        },
    ),
]
HeaderName = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9!#$%&'*+.^_|~-]+$")]
LabelText = Annotated[str, Meta(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL_KEY = rf"^({_DNS}/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]$"
LabelKey = Annotated[str, Meta(min_length=1, max_length=253, pattern=LABEL_KEY)]
"""A selector that Kubernetes refuses would keep a namespace's other monitors from their webhook entries."""

PORT_NAME = r"^([a-z0-9]+-)*[a-z0-9]+$"


def path_problems(at: str, text: str | None) -> Iterator[Problem]:
    """What is wrong with a JSON path in that field; None is fine."""
    if text is None:
        return
    try:
        parse_path(text)
    except ValueError as error:
        yield Problem(at, str(error))


def url_path_problems(at: str, paths: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with the URL paths of that field: exact ones, or prefixes that end in `*`."""
    for index, path in enumerate(paths):
        if not path.startswith("/"):
            yield Problem(f"{at}[{index}]", f"must begin with / ({path!r})")
        elif "*" in path[:-1]:
            yield Problem(f"{at}[{index}]", f"must have no * but the last character ({path!r})")
        elif "?" in path or "#" in path:
            yield Problem(f"{at}[{index}]", f"must be a path without query ({path!r})")
        elif path in paths[:index]:
            yield Problem(f"{at}[{index}]", f"is there twice ({path!r})")


class LabelExpression(Part, frozen=True, kw_only=True):
    """One requirement of a label selector, as in Kubernetes."""

    key: Annotated[LabelKey, Meta(description="The label the requirement is about.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Meta(description="How the label's value relates to `values`."),
    ]
    values: Annotated[
        Annotated[tuple[LabelText, ...], Meta(max_length=64)],
        Meta(description="The values; for In and NotIn at least one, for Exists and DoesNotExist none."),
    ] = ()

    RULES: ClassVar = (
        Rule(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 "
            ": !has(self.values) || size(self.values) == 0",
            "In and NotIn need values, Exists and DoesNotExist take none",
        ),
    )

    def _check_values(self) -> Iterator[Problem]:
        needs = self.operator in ("In", "NotIn")
        if needs and not self.values:
            yield Problem("values", f"must hold at least one value for {self.operator}")
        if not needs and self.values:
            yield Problem("values", f"must be empty for {self.operator}")


class LabelSelector(Part, frozen=True, kw_only=True):
    """Which pods, as in Kubernetes: all requirements must hold."""

    match_labels: Annotated[
        Annotated[dict[LabelKey, LabelText], Meta(max_length=64)],
        Meta(description="Labels that a pod must carry with these values."),
    ] = field(default_factory=dict)
    match_expressions: Annotated[
        Annotated[tuple[LabelExpression, ...], Meta(max_length=64)],
        Meta(description="Further requirements on a pod's labels."),
    ] = ()

    RULES: ClassVar = (
        Rule(
            "(has(self.matchLabels) && size(self.matchLabels) > 0) "
            "|| (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            "must name at least one label: an empty one would select every pod",
        ),
        Rule(
            "!has(self.matchLabels) "
            f"|| self.matchLabels.all(k, size(k) <= 253 && k.matches({json.dumps(LABEL_KEY)}))",
            "matchLabels must have Kubernetes' label keys: a domain and `/` or neither, a name of at most 63",
        ),
    )

    def _check_not_empty(self) -> Iterator[Problem]:
        if not self.match_labels and not self.match_expressions:
            yield Problem("", "must name at least one label: an empty one would select every pod")


class JsonPaths(Part, frozen=True, kw_only=True):
    """Where a JSON body keeps its records and predictions, for protocol `json`."""

    records: Annotated[
        JsonPathText,
        Meta(
            description="JSON path in the request body: one record, or a list of them. A record is an "
            "object "
            "(features by name or by `path`) or an array in the order of `schema.features`. "
            "Default `$`: the whole body."
        ),
    ] = "$"
    predictions: Annotated[
        JsonPathText | None,
        Meta(
            description="JSON path in the response body: one prediction, or one per record in the same "
            "order. "
            "Default: `$.predictions`, `$.outputs` or `$.results` where the response has it, else the "
            "whole body."
        ),
    ] = None

    def _check_paths(self) -> Iterator[Problem]:
        yield from path_problems("records", self.records)
        yield from path_problems("predictions", self.predictions)


class Endpoint(Part, frozen=True, kw_only=True):
    """Which requests are predictions, and how they are written."""

    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)]
        | Annotated[str, Meta(min_length=1, max_length=15, pattern=PORT_NAME)],
        Meta(description="Port of the model's container: its number, or its name in the pod."),
    ]
    protocol: Annotated[
        Protocol,
        Meta(
            description="How requests and responses are written: `json` (any JSON, by path), `kserve-v1`, "
            "`oip-v2` "
            "(Open Inference Protocol), `mlflow` (/invocations). Default `auto`: recognised from the "
            "bodies."
        ),
    ] = "auto"
    paths: Annotated[
        Annotated[tuple[PathText, ...], Meta(max_length=64)],
        Meta(
            description="URL paths whose requests are predictions: exact, or a prefix that ends in `*`. "
            "Default: every path; health checks and pages then count as undecodable."
        ),
    ] = ()
    id_headers: Annotated[
        Annotated[tuple[HeaderName, ...], Meta(max_length=8)],
        Meta(
            description="Request headers that identify a prediction, the first that is present counts. "
            "Without one "
            "an id is generated and returned in `x-driftline-id`. Default: what gateways and CloudEvents "
            "use."
        ),
    ] = ("x-request-id", "ce-id")
    json: Annotated[
        JsonPaths | None,
        Meta(description="Where bodies keep records and predictions; only with protocol `json` or `auto`."),
    ] = None

    RULES: ClassVar = (
        Rule(
            "!has(self.json) || !has(self.protocol) || self.protocol in ['json', 'auto']",
            "json is only read with protocol json or auto",
        ),
        Rule(
            "!has(self.paths) || self.paths.all(p, p.startsWith('/'))",
            "paths must begin with /",
        ),
    )

    def _check_port(self) -> Iterator[Problem]:
        if isinstance(self.port, str) and not re.search("[a-z]", self.port):
            yield Problem(
                "port", f"must hold a letter where it is a name ({self.port!r}); a number is unquoted"
            )

    def _check_paths(self) -> Iterator[Problem]:
        yield from url_path_problems("paths", self.paths)

    def _check_json(self) -> Iterator[Problem]:
        if self.json is not None and self.protocol not in ("json", "auto"):
            yield Problem("json", f"is only read with protocol json or auto, not {self.protocol}")

    def matches(self, path: str) -> bool:
        """Is a request for that URL path (without its query) one of this endpoint's?"""
        return not self.paths or any(
            path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern
            for pattern in self.paths
        )


class Model(Part, frozen=True, kw_only=True):
    """The model behind the endpoint."""

    name: Annotated[
        Annotated[str, Meta(min_length=1, max_length=128)],
        Meta(description="The model's name, as it shall appear in metrics and reports."),
    ]
    version: Annotated[
        Annotated[str, Meta(max_length=128)],
        Meta(description="The model's version. Windows of different versions never mix. Default: none."),
    ] = ""
    type: Annotated[
        ModelType,
        Meta(
            description="What it predicts: `classification` (a class, maybe a score), `regression` (a "
            "number) or `ranking` (a score for each item of a list; a request is a list)."
        ),
    ]
