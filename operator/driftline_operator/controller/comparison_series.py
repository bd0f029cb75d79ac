"""What a shadow's pairs say beside the rules, for Prometheus: at most about 1,400 series a shadow.

modelmonitor_shadow_pairs{…}                                 compared requests
modelmonitor_shadow_output_share{…,side,output}              share of a side's rows that are that answer
modelmonitor_shadow_confusion{…,live,candidate}              rows by both answers; of up to 20 answers
modelmonitor_shadow_delta{…,quantile}                        candidate less live, over requests
modelmonitor_shadow_delta_clipped{…}                         requests of which it was beyond the clip
modelmonitor_shadow_noise{…,side}                            share of rows in which a side differs from itself
modelmonitor_shadow_segment_pairs{…,segment,value}           requests of a segment's value
modelmonitor_shadow_segment_agreement{…,segment,value}       share of their rows that agree
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from driftline.shadow.comparison import QUANTILES, Comparison
from prometheus_client.core import GaugeMetricFamily

CONFUSED: Final = 20
"""Answers whose confusion is told: 64 classes would be 4,225 series. The shadow's ConfigMap has the rest."""

Labels = tuple[str, ...]


def families(labels: Labels) -> Iterator[tuple[str, str, Labels]]:
    """Name, help and labels of each. `labels`: those that all have."""
    yield "pairs", "Compared requests.", labels
    yield "output_share", "Share of a side's rows that are that answer.", (*labels, "side", "output")
    yield "confusion", "Rows by what the sides answered.", (*labels, "live", "candidate")
    yield "delta", "Quantile of candidate less live over requests.", (*labels, "quantile")
    yield "delta_clipped", "Requests whose difference was beyond the clip.", labels
    yield "noise", "Share of rows in which a side differs from itself.", (*labels, "side")
    yield "segment_pairs", "Requests of a segment's value.", (*labels, "segment", "value")
    yield "segment_agreement", "Share of their rows that agree.", (*labels, "segment", "value")


def add(made: dict[str, GaugeMetricFamily], labels: Labels, found: Comparison) -> None:
    """One shadow's. What was not measured is absent."""
    made["pairs"].add_metric(labels, found.requests)
    for output in found.outputs:
        made["output_share"].add_metric([*labels, "live", output.output], output.live)
        made["output_share"].add_metric([*labels, "candidate", output.output], output.candidate)
    for cell in found.confusion if len(found.outputs) <= CONFUSED else ():
        made["confusion"].add_metric([*labels, cell.live, cell.candidate], cell.rows)
    if (delta := found.delta) is not None:
        for name, value in delta.quantiles.items():
            made["delta"].add_metric([*labels, f"{QUANTILES[name]:g}"], value)
        made["delta_clipped"].add_metric(labels, delta.clipped)
    if (noise := found.noise) is not None:
        made["noise"].add_metric([*labels, "live"], noise.live)
        made["noise"].add_metric([*labels, "candidate"], noise.candidate)
    for segment in found.segments:
        at = [*labels, segment.segment, segment.value]
        made["segment_pairs"].add_metric(at, segment.requests)
        if segment.agreement.value is not None:
            made["segment_agreement"].add_metric(at, segment.agreement.value)
