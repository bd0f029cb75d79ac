"""The ShadowDeployment: a candidate beside a monitored model, and what it must show to be promoted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from driftline.errors import Problem
from driftline.quantity import Duration
from driftline.spec.candidate import Candidate
from driftline.spec.endpoint import PathText, url_path_problems
from driftline.spec.gate import Gate
from driftline.spec.monitor import Metadata
from driftline.spec.part import Part, Rule
from driftline.spec.policy import ObjectName
from driftline.spec.schema import ColumnName

SHADOW_KIND: Final = "ShadowDeployment"

Output = Literal["prediction", "score", "body"]

_NONE_GIVEN = "!has(self.compare) || !has(self.compare.outputs)"
_PREDICTION = "self.compare.outputs.exists(o, o == 'prediction')"

_DURATION = "duration(has(self.duration) ? self.duration : '336h')"
_MIN_TIME = "duration(has(self.gate.minTime) ? self.gate.minTime : '168h')"

_DAY = 24 * 3600


class Traffic(Part, frozen=True, kw_only=True):
    """How much of the live traffic the candidate sees, and what it may cost. Never on the requests' path."""

    sample: Annotated[
        Annotated[float, Meta(gt=0, le=1)],
        Meta(description="Share of the requests that are mirrored, chosen by id. Default 1: all."),
    ] = 1.0
    max_concurrent: Annotated[
        Annotated[int, Meta(ge=1, le=1024)],
        Meta(description="Mirrored requests of one pod that wait for an answer at once. Default 8."),
    ] = 8
    timeout: Annotated[
        Duration,
        Meta(description="How long an answer is waited for; after it the request has failed. Default 10s."),
    ] = Duration(10)
    queue: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)],
        Meta(description="Requests of one pod that may wait to be mirrored; more are dropped. Default 100."),
    ] = 100
    budget: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="Mirrored requests a second, over all pods; more are dropped. Rather lower `sample`: "
            "what a budget drops is the busiest hours. Default: no limit."
        ),
    ] = None
    paths: Annotated[
        Annotated[tuple[PathText, ...], Meta(max_length=32)],
        Meta(description="URL paths that are mirrored, as in `endpoint.paths`. Default: the monitor's own."),
    ] = ()
    allow_sensitive: Annotated[
        bool,
        Meta(
            description="Send the candidate what `capture.redact` and `capture.redactHeaders` hide, and "
            "clients' credentials. Who sets it must be allowed to create Deployments. Default false: it gets "
            "`[redacted]` instead."
        ),
    ] = False

    RULES: ClassVar = (
        Rule(
            "!has(self.timeout) || (duration(self.timeout) > duration('0s') "
            "&& duration(self.timeout) <= duration('10m'))",
            "timeout must be above 0s and at most 10m",
        ),
        Rule("!has(self.paths) || self.paths.all(p, p.startsWith('/'))", "paths must begin with /"),
    )

    def _check_timeout(self) -> Iterator[Problem]:
        if not 0 < self.timeout <= 600:
            yield Problem("timeout", f"must be above 0s and at most 10m ({self.timeout})")

    def _check_paths(self) -> Iterator[Problem]:
        yield from url_path_problems("paths", self.paths)


class Tolerance(Part, frozen=True, kw_only=True):
    """By how much two numbers may differ and still agree: absolute + relative x |the live one|."""

    absolute: Annotated[
        Annotated[float, Meta(ge=0)], Meta(description="In the output's own unit. Default 0.0001.")
    ] = 0.0001
    relative: Annotated[
        Annotated[float, Meta(ge=0, lt=1)], Meta(description="As a share of the live answer. Default 0.0001.")
    ] = 0.0001


class Compare(Part, frozen=True, kw_only=True):
    """What of the answers is compared, and how."""

    outputs: Annotated[
        Annotated[tuple[Output, ...], Meta(min_length=1, max_length=3)],
        Meta(
            description="`prediction` (the class or value), `score` (where the monitor names one), `body` "
            "(the answers as JSON, field by field; alone: for answers of free form). "
            "The gate's rules are about these: `agreement` and `systematicDifference` about predictions, or "
            "bodies alone; `outputDrift` about predictions; `meanDelta` and `p95Delta` about scores, or a "
            "regression's predictions. Default: prediction and score."
        ),
    ] = ("prediction", "score")
    tolerance: Annotated[Tolerance, Meta(description="By how much numbers may differ and still agree.")] = (
        Tolerance()
    )
    clip: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="Largest difference of two values that counts, in the output's unit: larger ones "
            "count as this. A mean can only be bounded for values that are. Scores need none (1); a "
            "regression needs it for `meanDelta`, `p95Delta` and `performance.mae`. Default: none."
        ),
    ] = None
    segments: Annotated[
        Annotated[tuple[ColumnName, ...], Meta(max_length=8)],
        Meta(description="Features by whose values it is also broken down. Default: the monitor's."),
    ] = ()

    SCHEMA: ClassVar = {
        "outputs": {"x-kubernetes-list-type": "set"},
        "segments": {"x-kubernetes-list-type": "set"},
    }

    def _check_twice(self) -> Iterator[Problem]:
        for field, values in (("outputs", self.outputs), ("segments", self.segments)):
            for index, value in enumerate(values):
                if value in values[:index]:
                    yield Problem(f"{field}[{index}]", f"is there twice ({value!r})")


class Aa(Part, frozen=True, kw_only=True):
    """Requests that go twice to both sides: they tell noise from difference."""

    share: Annotated[
        Annotated[float, Meta(ge=0, le=1)],
        Meta(
            description="Share of the mirrored requests. Each of them loads the live model with two requests "
            "more, so the default is 0."
        ),
    ] = 0.0


class MonitorRef(Part, frozen=True, kw_only=True):
    """The monitor of the live model."""

    name: Annotated[ObjectName, Meta(description="Its name.")]


class ShadowSpec(Part, frozen=True, kw_only=True):
    """Which candidate is compared with which model, on what traffic, and what it must show."""

    monitor_ref: Annotated[
        MonitorRef, Meta(description="The ModelMonitor, in the same namespace, of the live model.")
    ]
    candidate: Annotated[Candidate, Meta(description="What is compared with the live model.")]
    traffic: Annotated[Traffic, Meta(description="What the candidate sees, and what it may cost.")] = (
        Traffic()
    )
    duration: Annotated[
        Duration,
        Meta(
            description="How long it runs at most; without a verdict by then it ends `Inconclusive`. Default "
            "336h (14 days)."
        ),
    ] = Duration(14 * _DAY)
    min_pairs: Annotated[
        Annotated[int, Meta(ge=1)],
        Meta(description="Compared requests without which nothing is promoted. Default 1000."),
    ] = 1000
    compare: Annotated[Compare, Meta(description="What of the answers is compared, and how.")] = Compare()
    gate: Annotated[Gate, Meta(description="What the candidate must show.")]
    on_pass: Annotated[
        Literal["Report", "Promote"],
        Meta(
            description="`Report` (default): say `Promotable`, a person decides. `Promote`: change the live "
            "workload, and roll back when it doesn't become ready."
        ),
    ] = "Report"  # noqa: S105 - what to do when the gate is passed
    on_fail: Annotated[
        Literal["Report", "Delete"],
        Meta(
            description="`Report` (default): say `Rejected`, mirror no more. `Delete`: end the candidate too."
        ),
    ] = "Report"
    aa: Annotated[Aa, Meta(description="Requests that go twice to both sides.")] = Aa()

    RULES: ClassVar = (
        Rule(
            f"{_DURATION} >= {_MIN_TIME} && ({_MIN_TIME} < duration('24h') || {_DURATION}.getSeconds() >= "
            f"({_MIN_TIME}.getSeconds() + 86399) / 86400 * 86400)",
            "duration must not be shorter than gate.minTime, rounded up to whole days",
        ),
        Rule(
            "!has(self.onPass) || self.onPass != 'Promote' || !has(self.candidate.service)",
            "onPass Promote needs a candidate by patch or template",
        ),
        Rule(
            "!has(self.gate.systematicDifference) "
            "|| (has(self.aa) && has(self.aa.share) && self.aa.share > 0.0)",
            "gate.systematicDifference needs aa.share above 0",
        ),
        Rule(
            "(!has(self.gate.agreement) && !has(self.gate.systematicDifference)) "
            f"|| {_NONE_GIVEN} || {_PREDICTION} || self.compare.outputs.all(o, o == 'body')",
            "gate.agreement and gate.systematicDifference need prediction in compare.outputs, or body alone",
        ),
        Rule(
            f"!has(self.gate.outputDrift) || {_NONE_GIVEN} || {_PREDICTION}",
            "gate.outputDrift needs prediction in compare.outputs",
        ),
        Rule(
            "(!has(self.gate.meanDelta) && !has(self.gate.p95Delta)) "
            f"|| {_NONE_GIVEN} || self.compare.outputs.exists(o, o != 'body')",
            "gate.meanDelta and gate.p95Delta need score, or a regression's prediction, in compare.outputs",
        ),
    )

    def _check_duration(self) -> Iterator[Problem]:
        if self.duration < self.gate.min_time:
            yield Problem(
                "duration", f"must not be shorter than gate.minTime ({self.duration} < {self.gate.min_time})"
            )
        elif self.duration < (whole := self.gate.whole_time):
            why = f"{self.gate.min_time} is read after {whole}"
            yield Problem("duration", f"must not be shorter than gate.minTime in whole days ({why})")

    def _check_on_pass(self) -> Iterator[Problem]:
        if self.on_pass == "Promote" and self.candidate.service is not None:  # noqa: S105
            yield Problem("onPass", "Promote needs a candidate by patch or template: a Service has no form")

    def _check_outputs(self) -> Iterator[Problem]:
        """A rule about an output that isn't compared."""
        outputs, gate = set(self.compare.outputs), self.gate
        answers, values = "prediction" in outputs or outputs == {"body"}, outputs != {"body"}
        for name, limit, compared, wanted in (
            ("agreement", gate.agreement, answers, "prediction (or be body alone)"),
            ("systematicDifference", gate.systematic_difference, answers, "prediction (or be body alone)"),
            ("outputDrift", gate.output_drift, "prediction" in outputs, "prediction"),
            ("meanDelta", gate.mean_delta, values, "score, or a regression's prediction"),
            ("p95Delta", gate.p95_delta, values, "score, or a regression's prediction"),
        ):
            if limit is not None and not compared:
                why = f"is about what isn't compared: compare.outputs must have {wanted}"
                yield Problem(f"gate.{name}", why)

    def _check_aa(self) -> Iterator[Problem]:
        if self.gate.systematic_difference is not None and self.aa.share <= 0:
            yield Problem("aa.share", "must be above 0 for gate.systematicDifference")


class ShadowDeployment(Part, frozen=True, kw_only=True):
    """A candidate model beside the live one: it answers the same requests, and nobody sees its answers."""

    api_version: Annotated[
        Literal["driftline.io/v1alpha1"], Meta(description="The version of this form: driftline.io/v1alpha1.")
    ] = "driftline.io/v1alpha1"
    kind: Annotated[Literal["ShadowDeployment"], Meta(description="ShadowDeployment.")] = SHADOW_KIND
    metadata: Annotated[Metadata, Meta(description="Which shadow it is.")]
    spec: Annotated[ShadowSpec, Meta(description="The candidate, its traffic, and what it must show.")]

    TOLERATED: ClassVar = frozenset({"status"})

    @property
    def key(self) -> str:
        """`namespace/name`, unique in a cluster."""
        return f"{self.metadata.namespace}/{self.metadata.name}"
