"""What it is compared with and what counts: reference, thresholds, capture, metrics.

Defaults that MONITORING's measurements gave carry their reason in the description.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from driftline.errors import Problem
from driftline.quantity import Duration, Size
from driftline.spec.endpoint import HeaderName, JsonPathText, path_problems
from driftline.spec.part import Part, Rule

Season = Literal["none", "daily", "weekly"]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Effect = Annotated[float, Meta(gt=0)]
ObjectName = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
MonitorName = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""It becomes a label's value and a part of other names."""
FilePath = Annotated[str, Meta(min_length=1, max_length=1024)]


class ProfileSource(Part, frozen=True, kw_only=True):
    """Where the reference profile lies: exactly one of the two."""

    file: Annotated[
        FilePath | None,
        Meta(description="A file, relative to the monitor file; for `driftline run`, not in a cluster."),
    ] = None
    config_map: Annotated[
        ObjectName | None,
        Meta(description="A ConfigMap of the monitor's namespace, as `driftline profile apply` makes it."),
    ] = None
    RULES: ClassVar = (
        Rule("has(self.file) != has(self.configMap)", "must have exactly one of file and configMap"),
    )

    def _check_one(self) -> Iterator[Problem]:
        if (self.file is None) == (self.config_map is None):
            what = "none" if self.file is None else "both"
            yield Problem("", f"must have exactly one of file and configMap ({what} given)")


class CaptureReference(Part, frozen=True, kw_only=True):
    """The reference made from live traffic."""

    rows: Annotated[
        Annotated[int, Meta(ge=100, le=1_000_000)],
        Meta(
            description="Rows to gather before they become the reference. "
            "Default 10000: below that the reference's own error shows in every window."
        ),
    ] = 10_000


class Refresh(Part, frozen=True, kw_only=True):
    """When a captured reference is made anew."""

    after: Annotated[
        Duration,
        Meta(description="Age from which on it is made anew, such as 720h (30 days); at least 24h."),
    ]
    require_stable: Annotated[
        bool,
        Meta(
            description="Only while nothing drifts, so that a slow drift doesn't become the reference. "
            "Default true."
        ),
    ] = True

    RULES: ClassVar = (Rule("duration(self.after) >= duration('24h')", "after must be at least 24h"),)

    def _check_after(self) -> Iterator[Problem]:
        if self.after < 24 * 3600:
            yield Problem("after", f"must be at least 24h ({self.after})")


class Reference(Part, frozen=True, kw_only=True):
    """What live traffic is compared with."""

    profile: Annotated[
        ProfileSource | None,
        Meta(description="A profile that `driftline profile build` made from training data."),
    ] = None
    capture: Annotated[
        CaptureReference | None,
        Meta(description="Make the profile from the first rows of live traffic instead."),
    ] = None
    season: Annotated[
        Season,
        Meta(
            description="A cycle of the traffic: windows are then compared with the same hours of the "
            "reference "
            "(`daily`: of the day, `weekly`: of the week). Default `none`."
        ),
    ] = "none"
    refresh: Annotated[
        Refresh | None,
        Meta(description="Make a captured reference anew now and then; only with `capture`. Default: never."),
    ] = None
    history: Annotated[
        Annotated[int, Meta(ge=1, le=50)],
        Meta(description="Captured references that are kept beside the one in force. Default 5."),
    ] = 5

    RULES: ClassVar = (
        Rule("!has(self.refresh) || has(self.capture)", "refresh is only read with capture"),
        Rule("!(has(self.profile) && has(self.capture))", "has both profile and capture: choose one"),
    )

    def _check_one(self) -> Iterator[Problem]:
        if self.profile is not None and self.capture is not None:
            yield Problem("", "has both profile and capture: choose one")

    def _check_refresh(self) -> Iterator[Problem]:
        if self.refresh is not None and self.capture is None:
            yield Problem("refresh", "is only read with capture")


class Thresholds(Part, frozen=True, kw_only=True):
    """From which effect on drift is large. Optional ones are off unless set."""

    psi: Annotated[
        Effect,
        Meta(
            description="Population stability index that may alert, over ten reference deciles. Default 0.25."
        ),
    ] = 0.25
    warning: Annotated[
        Effect,
        Meta(description="PSI that may warn; below `psi`. Default 0.1: under it a column is called stable."),
    ] = 0.1
    ks: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(description="Kolmogorov-Smirnov distance that counts as large too. Default: off."),
    ] = None
    wasserstein: Annotated[
        Effect | None,
        Meta(
            description="Wasserstein distance in standard deviations of the reference that counts as "
            "large too. "
            "Default: off, because a few outliers in the reference hide a shift."
        ),
    ] = None
    jensen_shannon: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(description="Jensen-Shannon distance (base 2) that counts as large too. Default: off."),
    ] = None

    RULES: ClassVar = (
        Rule("!has(self.warning) || !has(self.psi) || self.warning < self.psi", "warning must be below psi"),
    )

    def _check_order(self) -> Iterator[Problem]:
        if not self.warning < self.psi:
            yield Problem("warning", f"must be below psi ({self.warning:g} >= {self.psi:g})")


class Sustain(Part, frozen=True, kw_only=True):
    """How lasting drift must be."""

    windows: Annotated[
        Annotated[int, Meta(ge=1, le=100)],
        Meta(description="Disjoint windows that must be drifted out of the last `of`. Default 3."),
    ] = 3
    of: Annotated[
        Annotated[int, Meta(ge=1, le=100)],
        Meta(
            description="Disjoint windows that are looked at. Default 4: one quiet window doesn't hide an "
            "episode."
        ),
    ] = 4

    RULES: ClassVar = (
        Rule(
            "!has(self.windows) || !has(self.of) || self.windows <= self.of",
            "windows must not be more than of",
        ),
    )

    def _check_order(self) -> Iterator[Problem]:
        if self.windows > self.of:
            yield Problem("windows", f"must not be more than of ({self.windows} > {self.of})")


class Drift(Part, frozen=True, kw_only=True):
    """When a window has drifted: a large effect, unusual for the reference, and lasting."""

    thresholds: Annotated[Thresholds, Meta(description="From which effect on drift is large.")] = Thresholds()
    min_rows: Annotated[
        Annotated[int, Meta(ge=1)],
        Meta(
            description="Rows a window needs for a verdict; below, it says InsufficientData. "
            "Default 1000: PSI of fewer rows is noise."
        ),
    ] = 1000
    min_requests: Annotated[
        Annotated[int, Meta(ge=1)],
        Meta(
            description="Requests a window needs for a verdict. Default 50: rows of one request resemble "
            "each other."
        ),
    ] = 50
    sustain: Annotated[Sustain, Meta(description="How lasting drift must be.")] = Sustain()
    dataset_share: Annotated[
        Annotated[float, Meta(gt=0, le=1)],
        Meta(description="Share of drifted features from which on the data set has drifted. Default 0.5."),
    ] = 0.5


class Quality(Part, frozen=True, kw_only=True):
    """Shares of a window's rows, above those of the reference, that make a quality problem."""

    missing_ratio: Annotated[Ratio, Meta(description="Share of missing or null values. Default 0.05.")] = 0.05
    out_of_range_ratio: Annotated[
        Ratio, Meta(description="Share of values outside the feature's `range`. Default 0.01.")
    ] = 0.01
    new_category_ratio: Annotated[
        Ratio, Meta(description="Share of values that the reference doesn't know. Default 0.01.")
    ] = 0.01
    wrong_type_ratio: Annotated[
        Ratio, Meta(description="Share of values of another type than the feature's. Default 0.01.")
    ] = 0.01


CREDENTIAL_HEADERS: Final = (
    "api-key", "authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key", "x-auth-token",
)  # fmt: skip
"""What carries credentials, as clients and gateways commonly name it."""


class Capture(Part, frozen=True, kw_only=True):
    """What of the traffic is looked at, and what must never be kept."""

    sample: Annotated[
        Annotated[float, Meta(gt=0, le=1)],
        Meta(description="Share of the requests that are analysed, chosen by id. Default 1: all."),
    ] = 1.0
    max_body_bytes: Annotated[
        Size,
        Meta(
            description="Largest body that is analysed; longer ones pass whole, but are counted as too large."
        ),
    ] = Size(1_048_576)
    redact: Annotated[
        Annotated[tuple[JsonPathText, ...], Meta(max_length=64)],
        Meta(
            description="JSON paths whose values must never be kept or sent on, such as `$.ssn` or "
            "`$..email`; "
            "seen from the body and from each record. Default: none."
        ),
    ] = ()
    redact_headers: Annotated[
        Annotated[tuple[HeaderName, ...], Meta(max_length=64)],
        Meta(
            description="Headers whose values must never be kept or sent on, beside those that carry "
            "credentials (the default), which a shadow's candidate never gets without `allowSensitive`."
        ),
    ] = CREDENTIAL_HEADERS

    def _check_redact(self) -> Iterator[Problem]:
        for index, text in enumerate(self.redact):
            yield from path_problems(f"redact[{index}]", text)
            if text == "$":
                yield Problem(f"redact[{index}]", "would redact the whole body: set sample or paths instead")

    RULES: ClassVar = (
        Rule(
            "!has(self.maxBodyBytes) "
            "|| (quantity(string(self.maxBodyBytes)).compareTo(quantity('1Ki')) >= 0 "
            "&& quantity(string(self.maxBodyBytes)).compareTo(quantity('64Mi')) <= 0)",
            "maxBodyBytes must be from 1Ki to 64Mi",
        ),
        Rule(
            "!has(self.redact) || !('$' in self.redact)",
            "redact would redact the whole body: set sample or paths instead",
        ),
    )

    def _check_max_body_bytes(self) -> Iterator[Problem]:
        if not 1024 <= self.max_body_bytes <= MAX_BODY_BYTES:
            yield Problem("maxBodyBytes", f"must be from 1Ki to 64Mi ({self.max_body_bytes})")


MAX_BODY_BYTES = 64 * 2**20
"""Several bodies are in memory at once; the analyzer's limit is far below a gigabyte."""


class Metrics(Part, frozen=True, kw_only=True):
    """What is exposed to Prometheus."""

    max_series: Annotated[
        Annotated[int, Meta(ge=100, le=200_000)],
        Meta(
            description="Most series exposed; the rest is cut and counted. Default 5000: 30 features need "
            "1500."
        ),
    ] = 5000
    bin_rows: Annotated[
        bool,
        Meta(description="Whether rows per bin are exposed (many series). Default false."),
    ] = False
