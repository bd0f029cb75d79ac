"""What is stored and what it adds up to: `GET` of predictions, metrics, windows and the report; erasure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from driftline.errors import DataError
from driftline.performance.aggregates import (
    BinarySums,
    MeanSums,
    MulticlassSums,
    PredictionCounts,
    RankingSums,
    RegressionSums,
)
from driftline.performance.report import Metric
from driftline.performance.report import metrics as metrics_of
from driftline.profile import Profile
from driftline.shadow.performance import Labelled
from driftline.shadow.runtime import ShadowId
from sqlalchemy.engine import Connection

from driftline_operator.hub import reading, registry
from driftline_operator.hub.aggregates import By, Cell, Sums, measured, open_window, outcomes, pairs, sums
from driftline_operator.hub.answers import CellIs, Cells, Confusion, Erased, Mean
from driftline_operator.hub.evaluation import figures
from driftline_operator.hub.evaluation.asked import bins_of, classes_of, measure_of
from driftline_operator.hub.evaluation.sums import Part
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.reading import FoundId
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.registry import Known
from driftline_operator.hub.requests import flag, monitor_of, number
from driftline_operator.hub.tokens import Grant

MOST_DAYS: Final = 400
"""Of prediction time, in one request."""
MOST_SLICES: Final = 2_000
MOST_MEASURED: Final = 1_000
"""Groups of an answer whose metrics are said: each takes about a millisecond."""
MOST_ESTIMATED: Final = 50
"""Groups of an answer that are estimated: each takes a tenth of a second."""
_DAY: Final = 86_400.0


async def prediction(hub: Hub, request: web.Request, grant: Grant) -> FoundId:
    """All that is known of an id."""
    known = await monitor_of(hub, request, grant, "read")
    identity = _id(request)
    found = await hub.ask(lambda connection: reading.find(connection, known.id, identity))
    if not found:
        raise Refusal(404, "nothing is known of this id", field="id", value=identity)
    return found


async def erase(hub: Hub, request: web.Request, grant: Grant) -> Erased:
    """Delete all of an id; of an unknown one nothing."""
    known = await monitor_of(hub, request, grant, "admin")
    identity = _id(request)
    erased = await hub.take(lambda: hub.write(lambda each: reading.erase(each, known.id, identity)))
    return Erased(erased=erased)


def _id(request: web.Request) -> str:
    identity = request.match_info["id"]
    if len(identity) > 512 or "\0" in identity:
        raise Refusal(400, "an id has 1 to 512 characters, NUL not among them", field="id", value=identity)
    return identity


async def metrics(hub: Hub, request: web.Request, grant: Grant) -> Cells:
    """Sums and metrics of a span of prediction time, by version, variant, and if asked segment and slice."""
    known = await monitor_of(hub, request, grant, "read")
    start, end, by = _span(hub, request, known)
    estimate = flag(request, "estimate")
    return await hub.ask(lambda connection: _cells(connection, known, start, end, by, estimate=estimate))


async def windows(hub: Hub, request: web.Request, grant: Grant) -> Cells:
    """How many predictions and labels there are, by slices of time (a twenty-fourth of the span)."""
    known = await monitor_of(hub, request, grant, "read")
    start, end, by = _span(hub, request, known)
    sliced = by if by.bucket is not None else by._replace(bucket=(end - start) / 24)
    return await hub.ask(lambda connection: _cells(connection, known, start, end, sliced, counts_only=True))


async def report(hub: Hub, request: web.Request, grant: Grant) -> object:
    """What was found of the monitor's performance, by the last evaluation."""
    known = await monitor_of(hub, request, grant, "read")
    found = await hub.ask(lambda connection: hub.report(connection, known))
    if found is None:
        raise Refusal(404, "nothing was evaluated yet", field="monitor", value="/".join(known.name))
    return found


async def shadow(hub: Hub, request: web.Request, grant: Grant) -> Labelled:
    """How the candidate of a shadow does beside the live model, at the age of the monitor's conditions."""
    known = await monitor_of(hub, request, grant, "read")
    uid, generation = request.query.get("shadow", ""), number(request, "generation", 0)
    if not 1 <= len(uid) <= 64:
        raise Refusal(400, "the query must name it with 1 to 64 characters", field="shadow", value=uid)
    spec, clip = known.monitor.spec, number(request, "clip", 0)
    if clip == 0:
        raise Refusal(400, "must be above 0", field="clip", value=clip)
    variant = ShadowId(uid=uid, name="", generation=int(generation or 0)).variant
    before, age = number(request, "before", 0), float(spec.performance_age or 0)
    of_age = hub.clock() - age
    before = of_age if before is None else min(before, of_age)
    classifies = spec.model.type == "classification"
    if not classifies and clip is None:
        raise Refusal(400, "of a regression's differences the largest must be named", field="clip", value="")
    kind = clip if clip is not None and not classifies else classes_of(spec)
    return await hub.ask(lambda connection: pairs.labelled(connection, known.id, variant, before, age, kind))


def _span(hub: Hub, request: web.Request, known: Known) -> tuple[float, float, By]:
    end = number(request, "end", 0)
    end = hub.clock() if end is None else end
    start = number(request, "start", 0)
    start = max(0.0, end - known.monitor.spec.performance_window) if start is None else start
    if start >= end:
        raise Refusal(400, f"must be before end ({end:.0f})", field="start", value=start)
    if end - start > MOST_DAYS * _DAY:
        raise Refusal(400, f"is more than {MOST_DAYS} days before end", field="start", value=start)
    step = number(request, "step", 0)
    if step is not None and (end - start) > step * MOST_SLICES:
        raise Refusal(400, f"gives more than {MOST_SLICES} slices of time", field="step", value=step)
    segment = request.query.get("segment")
    if segment is not None and segment not in known.segments:
        message = f"is none of the monitor's segments: {', '.join(sorted(known.segments)) or 'it has none'}"
        raise Refusal(400, message, field="segment", value=segment)
    return start, end, By(segment=segment, bucket=step, age=number(request, "age", 0))


def profile_of(connection: Connection, known: Known) -> Profile | None:
    """The monitor's reference; None: it has none, or none that can be read."""
    try:
        return registry.profile_of(connection, known.id)
    except DataError:  # it was checked when it was told: a hub of another version did
        return None


def _cells(
    connection: Connection,
    known: Known,
    start: float,
    end: float,
    by: By,
    *,
    counts_only: bool = False,
    estimate: bool = False,
) -> Cells:
    numeric, measure = known.kind != "classification", measure_of(known.monitor.spec)
    profile = profile_of(connection, known)
    bins = bins_of(known.monitor.spec, profile)
    with open_window(connection, known.id, start, end, bins, numeric=numeric) as window:
        counts = outcomes.coverage(window, by)
        found = {} if counts_only else dict(measured(window, measure, by))
        predicted = sums.predicted(window, by, measure.classes) if estimate else {}
    few = len(found) <= MOST_MEASURED
    estimated = _estimated(predicted, profile)
    cells = tuple(
        _cell(cell, Part(found.get(cell), counts[cell]), estimated.get(cell, {}), said=few)
        for cell in sorted(counts, key=_order)
    )
    return Cells(start=start, end=end, age=by.age, cells=cells)


def _estimated(
    predicted: Mapping[Cell, PredictionCounts], profile: Profile | None
) -> dict[Cell, dict[str, Metric]]:
    if len(predicted) > MOST_ESTIMATED:
        said = f"of {MOST_ESTIMATED} groups at most; here are {len(predicted)}: ask for a shorter span"
        raise Refusal(400, said, field="estimate", value=True)
    if not predicted or profile is None:
        return {}
    estimate = figures.estimator(profile)
    return {cell: metrics_of(estimate(counts)) for cell, counts in predicted.items()}


def _order(cell: Cell) -> tuple[float, str, str, str]:
    return cell.bucket or 0.0, cell.version, cell.variant, cell.value or ""


def _cell(cell: Cell, part: Part, estimated: dict[str, Metric], *, said: bool) -> CellIs:
    found = figures.sliced(part) if said else None
    return CellIs(
        version=cell.version,
        variant=cell.variant,
        segment=cell.value,
        start=cell.bucket,
        predictions=part.predictions,
        labelled=part.labels,
        confusion=_confusion(part.sums),
        means={} if part.sums is None else _means(part.sums),
        metrics={} if found is None else found.metrics,
        auc_bound=None if found is None else found.auc_bound,
        estimated=estimated,
    )


def _confusion(found: Sums | None) -> Confusion | None:
    if isinstance(found, BinarySums):
        return Confusion(classes=("negative", "positive"), counts=_rows(found.confusion().tolist()))
    if isinstance(found, MulticlassSums):
        return Confusion(classes=found.classes, counts=_rows(found.confusion.tolist()))
    return None


def _rows(counts: list[list[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in counts)


def _means(found: Sums) -> dict[str, Mean]:
    names = {
        BinarySums: ("errors", "log_loss", "brier"),
        MulticlassSums: ("errors",),
        RegressionSums: ("errors", "absolute", "squares", "percentage"),
        RankingSums: ("ndcg", "average_precision", "reciprocal_rank"),
    }[type(found)]
    return {name: _mean(getattr(found, name)) for name in names}


def _mean(means: MeanSums) -> Mean:
    return Mean(
        requests=means.requests,
        rows=means.rows,
        total=means.total,
        squares=means.squares,
        products=means.products,
        sizes=means.sizes,
    )
