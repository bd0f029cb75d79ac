"""ShadowDeployments as people write them, and what is said of those that can't be."""

from __future__ import annotations

from pathlib import Path

import pytest
from driftline.decoding import build_shadow, decode_monitors, decode_resources, encode_monitor, to_wire
from driftline.errors import InvalidSpec
from driftline.spec import Fragment, Gate, ModelMonitor, PerformanceDifference, ShadowDeployment

EXAMPLES = Path(__file__).parents[2] / "examples"

GOOD = """\
apiVersion: driftline.io/v1alpha1
kind: ShadowDeployment
metadata: {name: v4}
spec:
  monitorRef: {name: census}
  candidate:
    template:
      metadata: {labels: {app: v4}}
      spec:
        containers: [{name: m, image: "census:4", env: [{name: A, value: "1"}], ports: [{containerPort: 80}]}]
  gate: {agreement: 0.98}
"""


def read(text: str) -> ShadowDeployment:
    (found,) = decode_resources(text)
    assert isinstance(found, ShadowDeployment)
    return found


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidSpec) as error:
        decode_resources(text)
    return [str(problem) for problem in error.value.problems]


def test_another_kind_is_one_problem_that_names_both() -> None:
    deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"
    assert problems(deployment) == ["kind: must be ModelMonitor or ShadowDeployment, not 'Deployment'"]
    assert problems(f"{GOOD}\n---\n{deployment}") == [
        "documents[1].kind: must be ModelMonitor or ShadowDeployment, not 'Deployment'"
    ]


def test_defaults() -> None:
    spec = read(GOOD).spec
    assert (str(spec.duration), spec.min_pairs, spec.on_pass, spec.on_fail) == (
        "336h",
        1000,
        "Report",
        "Report",
    )
    assert (str(spec.gate.min_time), spec.gate.error_rate, spec.gate.coverage) == ("168h", 0.01, 0.9)
    assert (spec.aa.share, spec.traffic.sample, str(spec.traffic.timeout)) == (0.0, 1.0, "10s")
    assert spec.compare.outputs == ("prediction", "score")
    assert read(GOOD).key == "default/v4"


def test_a_template_keeps_what_was_written_with_kubernetes_types() -> None:
    template = read(GOOD).spec.candidate.template
    assert isinstance(template, Fragment)
    (container,) = template["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert container["ports"] == [{"containerPort": 80}]


def test_an_example_with_every_field_comes_back_equal() -> None:
    (good,) = decode_resources((EXAMPLES / "shadow.yaml").read_bytes())
    assert decode_resources(encode_monitor(good)) == (good,)
    assert build_shadow(to_wire(good)) == good


def test_files_may_hold_both_kinds() -> None:
    both = decode_resources(f"{(EXAMPLES / 'minimal.yaml').read_text()}\n---\n{GOOD}")
    assert [type(one) for one in both] == [ModelMonitor, ShadowDeployment]


def test_a_sidecar_s_file_of_monitors_takes_no_shadow() -> None:
    with pytest.raises(InvalidSpec, match="kind: must be ModelMonitor"):
        decode_monitors(GOOD)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("agreement: 0.98", "agreement: 1", ["spec.gate.agreement: must be below 1 (1)"]),
        ("0.98", "98", ["spec.gate.agreement: must be below 1 (98; did you mean 0.98?)"]),
        ("0.98", "0.98, coverage: 90", ["spec.gate.coverage: must be at most 1 (90; did you mean 0.9?)"]),
        ("0.98", "980", ["spec.gate.agreement: must be below 1 (980)"]),
        (
            "agreement: 0.98",
            "errorRate: 0.1",
            [f"spec.gate: {Gate.RULES[0].message}"],
        ),
        (
            "agreement: 0.98",
            "agreement: 0.98, minTime: 1h",
            ["spec.gate.minTime: below 24h needs allowUnderADay: true (1h)"],
        ),
        (
            "agreement: 0.98",
            "agreement: 0.98, minTime: 400h",
            ["spec.duration: must not be shorter than gate.minTime (336h < 400h)"],
        ),
        (
            "  gate: {agreement: 0.98}",
            "  duration: 36h\n  gate: {agreement: 0.98, minTime: 36h}",
            ["spec.duration: must not be shorter than gate.minTime in whole days (36h is read after 48h)"],
        ),
        (
            "agreement: 0.98",
            "systematicDifference: 0.1",
            ["spec.aa.share: must be above 0 for gate.systematicDifference"],
        ),
        (
            "  gate: {agreement: 0.98}",
            "  compare: {outputs: [score]}\n  gate: {agreement: 0.98, outputDrift: 0.1, meanDelta: 0.1}",
            [
                ("spec.gate.agreement: is about what isn't compared: compare.outputs must have prediction "
                "(or be body alone)"),
                "spec.gate.outputDrift: is about what isn't compared: compare.outputs must have prediction",
            ],
        ),
        (
            "  gate: {agreement: 0.98}",
            "  compare: {outputs: [body]}\n  gate: {agreement: 0.98, p95Delta: 0.1}",
            [
                ("spec.gate.p95Delta: is about what isn't compared: compare.outputs must have score, or a "
                "regression's prediction"),
            ],
        ),
        ("    template:\n", "    template: x\n    other:\n", [
            ("spec.candidate.other: unknown field (there are patch, template, service, replicas, "
            "modelVersion, warmUp)"),
            "spec.candidate.template: must be a mapping, not 'x'",
        ]),
        ("monitorRef: {name: census}", "monitorRef: {}", ["spec.monitorRef.name: is required"]),
        ("kind: ShadowDeployment\n", "", ["kind: is required (ModelMonitor)"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, expected: list[str]) -> None:
    assert old in GOOD
    assert set(expected) <= set(problems(GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "missing"),
    [
        ("  gate: {agreement: 0.98}\n", "spec.gate"),
        ("  monitorRef: {name: census}\n", "spec.monitorRef"),
        (GOOD[GOOD.index("  candidate:") : GOOD.index("  gate:")], "spec.candidate"),
    ],
)
def test_of_what_is_missing_nothing_else_is_said(old: str, missing: str) -> None:
    """Not what another field would have to be, were it there."""
    text = GOOD.replace(old, "  onPass: Promote\n")
    assert problems(text) == [f"{missing}: is required"]


@pytest.mark.parametrize(
    ("outputs", "rules"),
    [
        ("[score]", "meanDelta: 0.1, p95Delta: 0.1"),
        ("[body]", "agreement: 0.98"),
        ("[prediction]", "agreement: 0.98, outputDrift: 0.1, meanDelta: 0.1"),
        ("[body, score]", "meanDelta: 0.1, performance: {accuracy: 0.01}"),
    ],
)
def test_rules_about_what_is_compared_are_taken(outputs: str, rules: str) -> None:
    gate = f"  compare: {{outputs: {outputs}}}\n  gate: {{{rules}}}"
    assert read(GOOD.replace("  gate: {agreement: 0.98}", gate)).spec.compare.outputs


@pytest.mark.parametrize("times", ["36h 48h", "25h 48h", "24h 24h", "169h 192h"])
def test_a_duration_of_whole_days_is_enough(times: str) -> None:
    least, duration = times.split()
    gate = f"  duration: {duration}\n  gate: {{agreement: 0.98, minTime: {least}}}"
    assert str(read(GOOD.replace("  gate: {agreement: 0.98}", gate)).spec.gate.whole_time) == duration
    hours = "  duration: 36m\n  gate: {agreement: 0.98, minTime: 36m, allowUnderADay: true}"
    assert read(GOOD.replace("  gate: {agreement: 0.98}", hours)).spec.gate.whole_time == 36 * 60


def test_one_of_three_candidates() -> None:
    template = GOOD[GOOD.index("    template:") : GOOD.index("  gate:")]
    assert problems(GOOD.replace(template, "    replicas: 2\n")) == [
        "spec.candidate: must have exactly one of patch, template and service (none given)"
    ]
    two = f"    service: {{name: v4, port: 80}}\n{template}"
    assert problems(GOOD.replace(template, two)) == [
        "spec.candidate: must have exactly one of patch, template and service (template and service given)"
    ]


def test_a_key_twice_deep_in_a_template_is_seen() -> None:
    assert problems(GOOD.replace("{app: v4}", "{app: v4, app: v5}")) == [
        "spec.candidate.template.metadata.labels.app: is there twice: remove one"
    ]


def test_words_that_yaml_takes_for_booleans_are_asked_about() -> None:
    template = "spec.candidate.template"
    assert problems(GOOD.replace("name: A", "name: N").replace("{app: v4}", "{on: v4}")) == [
        f'{template}.metadata.labels.on: YAML reads the unquoted key on as a boolean: write "on"',
        f'{template}.spec.containers[0].env[0].name: YAML reads the unquoted N as false: write "N"',
    ]
    assert read(GOOD.replace("name: A", "name: true")).spec.candidate.template is not None


def test_parts_check_themselves_in_code_too() -> None:
    with pytest.raises(InvalidSpec, match="rule about the answers"):
        Gate()
    assert Gate(performance=PerformanceDifference(mae=1.0)).coverage == 0.9
