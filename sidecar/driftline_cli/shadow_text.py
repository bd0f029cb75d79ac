"""A ShadowDeployment in words: what it compares with what, and what must hold for a promotion."""

from __future__ import annotations

from collections.abc import Iterator

from driftline.shadow.rules import thresholds
from driftline.spec import Candidate, ShadowDeployment


def shadow_summary(shadow: ShadowDeployment) -> Iterator[str]:
    """What the shadow will do, a line per concern."""
    spec = shadow.spec
    traffic, gate = spec.traffic, spec.gate
    budget = f", at most {traffic.budget:g} a second" if traffic.budget is not None else ""
    rules = ", ".join(f"{name} {limit:g}" for name, limit in thresholds(gate).items())
    yield f"{shadow.key}: fine"
    yield f"  monitor     {spec.monitor_ref.name}"
    yield f"  candidate   {_candidate(spec.candidate)}"
    paths = ", ".join(traffic.paths) or "the monitor's paths"
    yield f"  traffic     {100 * traffic.sample:.6g}% of the requests{budget}, {paths}"
    yield f"  compare     {', '.join(spec.compare.outputs)}; {100 * spec.aa.share:.6g}% of the pairs go twice"
    yield f"  gate        {rules}"
    yield (
        f"  promotable  after {gate.min_time} or more, {spec.min_pairs:,} pairs, coverage {gate.coverage:g}; "
        f"ends after {spec.duration}"
    )
    if spec.aa.share == 0 and any(name.startswith("latencyRatio") for name in thresholds(gate)):
        yield "  note        latencyRatio stays Inconclusive: without aa.share the live model isn't timed"
    yield f"  then        {spec.on_pass} on pass, {spec.on_fail} on fail"


def _candidate(candidate: Candidate) -> str:
    if candidate.service is not None:
        return f"Service {candidate.service.name}, port {candidate.service.port}"
    what = "a template of its own"
    if (patch := candidate.patch) is not None:
        changed = [
            name
            for name, value in (
                (f"image {patch.image}", patch.image),
                ("env", patch.env),
                ("resources", patch.resources),
                ("template", patch.template),
            )
            if value
        ]
        what = f"the live workload with another {', '.join(changed)}"
    return f"{what}, {candidate.replicas} pod{'s' if candidate.replicas > 1 else ''}"
