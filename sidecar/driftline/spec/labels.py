"""What is remembered of each prediction, so that labels, feedback and KPI events find it later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from driftline.errors import Problem
from driftline.quantity import Duration
from driftline.spec.endpoint import HeaderName, JsonPathText, path_problems
from driftline.spec.part import Part, Rule, twice
from driftline.spec.schema import ColumnName

_DAY = 24 * 3600
_LONGEST_AGE = Duration(366 * _DAY)
_LONGEST_RETENTION = Duration(10 * 366 * _DAY)

VariantName = Annotated[str, Meta(min_length=1, max_length=128)]
KpiName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z_][a-zA-Z0-9_.-]*$")]


class Retention(Part, frozen=True, kw_only=True):
    """How long, and how many, predictions are kept with what came of them; the older go first."""

    age: Annotated[
        Duration,
        Meta(description="Predictions older than this are deleted. Default 2160h: 90 days."),
    ] = Duration(90 * _DAY)
    rows: Annotated[
        Annotated[int, Meta(ge=1000, le=10_000_000_000)],
        Meta(description="Beyond that many predictions the oldest are deleted. Default 50000000."),
    ] = 50_000_000

    RULES: ClassVar = (
        Rule("!has(self.age) || duration(self.age) >= duration('1h')", "age must be at least 1h"),
    )

    def _check_age(self) -> Iterator[Problem]:
        if self.age < 3600:
            yield Problem("age", f"must be at least 1h ({self.age})")
        if self.age > _LONGEST_RETENTION:
            yield Problem("age", f"must be at most {_LONGEST_RETENTION} ({self.age})")


class Variant(Part, frozen=True, kw_only=True):
    """Which variant of an experiment answered, by a header of the request or of the response."""

    header: Annotated[
        HeaderName,
        Meta(
            description="The header; the response's counts before the request's. "
            "Default `x-driftline-variant`."
        ),
    ] = "x-driftline-variant"
    values: Annotated[
        Annotated[tuple[VariantName, ...], Meta(min_length=1, max_length=16)],
        Meta(description="The variants there are; another value counts as none."),
    ]

    SCHEMA: ClassVar = {"values": {"x-kubernetes-list-type": "set"}}

    def _check_values(self) -> Iterator[Problem]:
        yield from twice("values", self.values)


class Labels(Part, frozen=True, kw_only=True):
    """Turns the prediction log on: predictions go to the hub, and labels find them there."""

    key: Annotated[
        Annotated[tuple[ColumnName, ...], Meta(max_length=8)],
        Meta(
            description="Fields of a request's record whose values, joined by `/`, are the prediction's id: "
            "features by name, other fields by key. Default: the id of the exchange."
        ),
    ] = ()
    id_path: Annotated[
        JsonPathText | None,
        Meta(
            description="JSON path of the id in the response's body, such as `$.id`, or `$.results[*].id` "
            "with one for each row (`[*]`: elements of an array). Default: the id of the exchange "
            "(see endpoint.idHeaders)."
        ),
    ] = None
    features: Annotated[
        Annotated[tuple[ColumnName, ...], Meta(max_length=64)],
        Meta(description="Features that are stored beside prediction, score and segments. Default: none."),
    ] = ()
    variant: Annotated[
        Variant | None, Meta(description="The variants of an experiment. Default: none is told apart.")
    ] = None
    ages: Annotated[
        Annotated[tuple[Duration, ...], Meta(min_length=1, max_length=8)],
        Meta(
            description="Ages of predictions at which performance is said, shortest first: figures of "
            "different ages never mix, for early labels differ from late ones. Default 1h, 24h and 168h."
        ),
    ] = (Duration(3600), Duration(_DAY), Duration(7 * _DAY))
    retention: Annotated[Retention, Meta(description="How long predictions are kept.")] = Retention()

    SCHEMA: ClassVar = {
        "key": {"x-kubernetes-list-type": "atomic"},
        "features": {"x-kubernetes-list-type": "set"},
    }
    RULES: ClassVar = (
        Rule(
            "!has(self.key) || size(self.key) == 0 || !has(self.idPath)",
            "has both key and idPath: choose one",
        ),
        Rule("!has(self.idPath) || !self.idPath.contains('..')", "idPath must not be recursive"),
        Rule(
            "!has(self.ages) || self.ages.all(a, duration(a).getSeconds() > 0)",
            "ages must be above 0s",
        ),
        Rule(
            "!has(self.ages) || !has(self.retention) || !has(self.retention.age) "
            "|| self.ages.all(a, duration(a) < duration(self.retention.age))",
            "retention.age must be above each of ages",
        ),
    )

    def _check_one(self) -> Iterator[Problem]:
        if self.key and self.id_path is not None:
            yield Problem("", "has both key and idPath: choose one")

    def _check_id_path(self) -> Iterator[Problem]:
        yield from path_problems("idPath", self.id_path)
        if self.id_path is not None and ".." in self.id_path:
            yield Problem("idPath", f"must not be recursive ({self.id_path!r}): say where the id lies")

    def _check_twice(self) -> Iterator[Problem]:
        yield from twice("key", self.key)
        yield from twice("features", self.features)

    def _check_ages(self) -> Iterator[Problem]:
        for index, age in enumerate(self.ages):
            if age <= 0 or age > _LONGEST_AGE:
                yield Problem(f"ages[{index}]", f"must be above 0s and at most {_LONGEST_AGE} ({age})")
            elif index and age <= self.ages[index - 1]:
                before = self.ages[index - 1]
                yield Problem(f"ages[{index}]", f"must be longer than the one before ({age} <= {before})")

    def _check_retention(self) -> Iterator[Problem]:
        oldest = max(self.ages)
        if self.retention.age <= oldest:
            yield Problem("retention.age", f"must be above each of ages ({self.retention.age} <= {oldest})")


class Kpi(Part, frozen=True, kw_only=True):
    """A business figure that predictions lead to."""

    name: Annotated[
        KpiName, Meta(description="Its name, as the events and the metrics have it, such as `revenue`.")
    ]
