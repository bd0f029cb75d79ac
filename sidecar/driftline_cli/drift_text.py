"""The comparison for people: what drifted, how much, and what the distributions look like."""

from __future__ import annotations

import io
import sys

from driftline.profile import FeatureProfile
from driftline.verdict import State
from rich.console import Console
from rich.table import Table

from driftline_cli.comparison import Comparison, FeatureResult, worst_first
from driftline_cli.histogram import spark

_STYLES = {"Drifted": "bold red", "Warning": "yellow", "InsufficientData": "dim"}

_PLAIN_WIDTH = 132


def render(comparison: Comparison, reference: str, current: str, *, to_file: bool) -> str:
    """The whole text, with colours where stdout is a terminal."""
    colours = not to_file and sys.stdout.isatty()
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        force_terminal=colours,
        no_color=not colours,
        width=None if colours else _PLAIN_WIDTH,
        highlight=False,
    )
    rows = comparison.result.rows
    console.print(f"reference  {reference}  ({rows.reference:,} rows)", markup=False)
    console.print(f"current    {current}  ({rows.current:,} rows)", markup=False)
    console.print(_table(comparison))
    for line in conclusion(comparison):
        console.print(line, markup=False)
    return buffer.getvalue()


def conclusion(comparison: Comparison) -> list[str]:
    """What it comes to, in sentences."""
    judgement, result = comparison.judgement, comparison.result
    if not judgement.state.judged:
        rows = f"{result.rows.current:,} rows are too few to tell drift from noise (--min-rows)"
        return [f"No verdict, neither pass nor fail: {rows}. [{judgement.state.value}]"]
    drifted, judged = comparison.drifted, sum(f.p is not None for f in judgement.features)
    share = result.dataset
    lines = [
        f"{len(drifted)} of {judged} columns drifted: {', '.join(drifted)}."
        if drifted
        else f"No drift: none of {judged} columns changed by more than chance and the threshold allow."
    ]
    if drifted:
        lines.append(
            f"The data set as a whole {'has' if share.drifted else 'has not'} drifted "
            f"({share.share:.0%} of the features, threshold {share.threshold:.0%})."
        )
    unjudged = [f.name for f in judgement.features if f.p is None]
    if unjudged:
        lines.append(f"Without a verdict, for lack of values: {', '.join(unjudged)}.")
    if judgement.state is State.UNCALIBRATED:
        lines.append(
            "Uncalibrated: p-values take rows as independent, for the reference's rows carry no times "
            "(--time-column, or --ordered) or are too few to show what is usual."
        )
    else:
        lines.append(f"Compared with {judgement.blocks} blocks of the reference ({judgement.scale}).")
    return lines


def _table(comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in ("column", "reference", "current"):
        table.add_column(head, no_wrap=True, overflow="ellipsis", max_width=32)
    for head in ("PSI", "KS / chi2 p", "W / sd", "JS", "missing"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for feature in worst_first(comparison):
        result = comparison.result.features[feature.name]
        table.add_row(*_cells(comparison, feature, result), style=_STYLES.get(result.reason))
    return table


def _cells(comparison: Comparison, feature: FeatureProfile, result: FeatureResult) -> list[str]:
    of = result.statistics
    p = of.get("ks_pvalue", of.get("chi2_pvalue"))
    return [
        feature.name,
        spark(feature, feature.counts),
        spark(feature, comparison.current[feature.name]),
        _number(of["psi"], ".3f"),
        _number(p, ".2g"),
        _number(of.get("wasserstein_normed"), ".3f"),
        _number(of["jensen_shannon"], ".3f"),
        f"{_share(result.missing_ratio.reference)} > {_share(result.missing_ratio.current)}",
        result.reason,
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
