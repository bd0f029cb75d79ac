"""One reading of a file tells everything that is wrong with it, and where."""

import json
from pathlib import Path

import pytest
from driftline.decoding import build_monitor, decode_monitor, decode_monitors, encode_monitor, to_wire
from driftline.errors import InvalidSpec
from driftline.spec import Capture, Endpoint
from hypothesis import given
from hypothesis import strategies as st

from tests.support.specs import categorical, monitor, numeric

EXAMPLES = Path(__file__).parents[2] / "examples"

GOOD = """
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {name: census, uid: 1-2-3}
spec:
  selector: {matchLabels: {app: census}}
  endpoint: {port: http}
  model: {name: census, type: classification}
  schema:
    features:
      - {name: age, type: numeric, range: {min: 0, max: 120}}
      - {name: sex, type: categorical}
    prediction: {name: employed, score: score}
  capture: {sample: 1.0}
status: {rows: 3}
"""


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(InvalidSpec) as error:
        decode_monitors(text)
    return [str(problem) for problem in error.value.problems]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_good_monitor_has_what_the_file_says() -> None:
    good = decode_monitor(GOOD)
    assert good.key == "default/census"
    assert [feature.name for feature in good.spec.schema.features] == ["age", "sex"]
    assert good.spec.endpoint == Endpoint(port="http")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{min: 0, max: 120}",
            "{min: 130, max: 120}",
            "spec.schema.features[0].range.max: must be above min (120 < 130)",
        ),
        (
            "{min: 0, max: 120}",
            "{max: .nan}",
            "spec.schema.features[0].range.max: must be a finite number, not nan",
        ),
        (
            "{min: 0, max: 120}",
            "{max: 1" + "0" * 90 + "e400}",
            "spec.schema.features[0].range.max: must be a finite number, not inf",
        ),
        ("capture:", "captur:", "spec.captur: unknown field (did you mean capture?)"),
        (
            "sample: 1.0",
            "max_body_bytes: 1Mi",
            "spec.capture.max_body_bytes: unknown field (did you mean maxBodyBytes?)",
        ),
        ("sample: 1.0", "sample: 2", "spec.capture.sample: must be at most 1 (2)"),
        (
            "sample: 1.0",
            "maxBodyBytes: 1MB",
            "spec.capture.maxBodyBytes: must be a size in bytes such as 1Mi, 500k or 65536, not '1MB'",
        ),
        ("sample: 1.0", "sample: 1, sample: 0.5", "spec.capture.sample: is there twice: remove one"),
        ("name: sex", "name: age", "spec.schema.features[1].name: is the name of features[0] too ('age')"),
        ("port: http", "port: 70000", "spec.endpoint.port: must be at most 65535 (70000)"),
        ("port: http", "port: [1]", "spec.endpoint.port: must be a whole number or text, not a list"),
        ("{port: http}", "", "spec.endpoint: is required"),
        (
            "type: classification",
            "type: clustering",
            "spec.model.type: must be classification, ranking or regression, not 'clustering'",
        ),
        (
            "name: employed",
            "name: on",
            (
                "spec.schema.prediction.name: must be text, not true: YAML reads the unquoted on as "
                'true, write "on"'
            ),
        ),
        (
            "name: employed",
            "name: n",
            (
                "spec.schema.prediction.name: must be text, not false: YAML reads the unquoted n as "
                'false, write "n"'
            ),
        ),
        (
            "name: census, type",
            "name: census, version: 1.10, type",
            'spec.model.version: must be text, not 1.1: write it in quotes, "1.10"',
        ),
        (
            "{app: census}",
            "{n: x}",
            'spec.selector.matchLabels.n: YAML reads the unquoted key n as a boolean: write "n"',
        ),
        (
            "{app: census}",
            "{app: true}",
            (
                "spec.selector.matchLabels.app: must be text, not true: YAML reads the unquoted true as "
                'true, write "true"'
            ),
        ),
        ("kind: ModelMonitor", "kind: Monitor", "kind: must be ModelMonitor, not 'Monitor'"),
        ("kind: ModelMonitor", "", "kind: is required (ModelMonitor)"),
        (
            "capture: {sample: 1.0}",
            "windows: [300]",
            "spec.windows[0]: must be a duration such as 5m, not 300; 300 seconds are 5m",
        ),
        (
            "capture: {sample: 1.0}",
            "windows: [1d]",
            "spec.windows[0]: must be a duration such as 30s, 5m or 1h30m (here 24h), not '1d'",
        ),
        (
            "capture: {sample: 1.0}",
            "windows: [90s]",
            "spec.windows[0]: must be a multiple of pane (1m30s / 1m)",
        ),
        (
            "capture: {sample: 1.0}",
            "drift: {thresholds: {warning: 0.3}}",
            "spec.drift.thresholds.warning: must be below psi (0.3 >= 0.25)",
        ),
        (
            "capture: {sample: 1.0}",
            "reference: {profile: {file: a}, capture: {}}",
            "spec.reference: has both profile and capture: choose one",
        ),
        (
            "type: categorical",
            "type: categorical, path: a.b",
            "spec.schema.features[1].path: must be a JSON path that begins with $, such as $.a.b, not 'a.b'",
        ),
    ],
)
def test_each_mistake_is_told_with_its_path(old: str, new: str, expected: str) -> None:
    assert problems(changed(old, new)) == [expected]


def test_every_mistake_is_told_at_once_even_around_what_cannot_be_built() -> None:
    broken = """
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {name: Census}
spec:
  selector: {}
  endpoint: {port: 0}
  model: {name: c, type: rank}
  schema:
    features:
      - {name: age, type: numeric, range: {min: 130, max: 120}}
      - {type: numeric}
      - {name: age, type: number}
    prediction: {name: p}
    segments: [zip]
  windows: [5m, 1x, 1h]
  drift: {sustain: {windows: 5}}
"""
    assert problems(broken) == [
        "metadata.name: must match ^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$, not 'Census'",
        "spec.selector: must name at least one label: an empty one would select every pod",
        "spec.endpoint.port: must be at least 1 (0)",
        "spec.model.type: must be classification, ranking or regression, not 'rank'",
        "spec.schema.features[0].range.max: must be above min (120 < 130)",
        "spec.schema.features[1].name: is required",
        "spec.schema.features[2].type: must be categorical or numeric, not 'number'",
        "spec.schema.features[2].name: is the name of features[0] too ('age')",
        "spec.schema.segments[0]: must name a feature ('zip' is none)",
        "spec.windows[1]: must be a duration such as 30s, 5m or 1h30m, not '1x'",
        "spec.drift.sustain.windows: must not be more than of (5 > 4)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no document"),
        ("# nothing\n---\n", "holds no document"),
        ("a: [", "line 2, column 1: is no YAML"),
        ("a: b: c", "line 1, column 5: is no YAML: mapping values are not allowed"),
        ("\ta: 1", "(a tab: indent with spaces)"),
        ("a: *b", "line 1, column 4: no anchor &b"),
        ("a: !!python/object:os.system {}", "line 1, column 4: tags such as"),
        ("<<: {a: 1}", "merge keys (<<)"),
        ("? [1]\n: 2", "a key must be text, not list"),
        ("[" * 100_000, "nested deeper than 32"),
        ('{"a":' * 40_000, "nested deeper than 32"),
        ("7", "must be a mapping, not 7"),
        ("x" * 1_048_577, "longer than 1048576 bytes"),
    ],
)
def test_what_is_no_monitor_says_so_with_its_line(text: str, expected: str) -> None:
    assert expected in problems(text)[0]


def test_bytes_that_are_no_utf8_are_refused() -> None:
    assert problems(b"a: \xff") == ["is not UTF-8 (byte 3)"]


def test_an_alias_bomb_is_counted_not_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    assert "holds more than 50000 values" in problems("\n".join(lines))[0]


def test_an_alias_is_what_it_stands_for() -> None:
    text = changed("{matchLabels: {app: census}}", "{matchLabels: &labels {app: census}}")
    text = text.replace("uid: 1-2-3", "labels: &x {app: census}").replace("&labels {app: census}", "*x")
    assert decode_monitor(text).spec.selector.match_labels == {"app": "census"}


def test_json_is_read_too_and_duplicates_in_it() -> None:
    wire = json.dumps(to_wire(monitor(features=[categorical("smile 😀")])))
    assert decode_monitor(wire).spec.schema.features[0].name == "smile 😀"
    twice = wire.replace('"kind"', '"kind": "ModelMonitor", "kind"', 1)
    assert problems(twice) == ["kind: is there twice: remove one"]


def test_null_is_the_same_as_absent() -> None:
    assert decode_monitor(changed("capture: {sample: 1.0}", "capture:")) == decode_monitor(GOOD)


def test_several_monitors_of_a_file_may_not_claim_the_same_requests() -> None:
    one = encode_monitor(monitor("one", endpoint=Endpoint(port=80, paths=("/a", "/b"))))
    two = encode_monitor(monitor("two", endpoint=Endpoint(port=80, paths=("/b",))))
    three = encode_monitor(monitor("three", endpoint=Endpoint(port=80, paths=("/c",))))
    assert problems(f"{one}---\n{two}") == [
        "documents[1].spec.endpoint.paths: claims /b on port 80, which default/one (documents[0]) does too"
    ]
    assert [found.metadata.name for found in decode_monitors(f"{one}---\n{three}")] == ["one", "three"]
    assert problems(f"{one}---\n{one}") == [
        "documents[1].metadata.name: is the name of documents[0] too (default/one)"
    ]


def test_problems_of_a_later_document_name_it() -> None:
    assert problems(
        GOOD + "---\n" + changed("sample: 1.0", "sample: 0").replace("name: census,", "name: two,", 1)
    ) == ["documents[1].spec.capture.sample: must be above 0 (0)"]


def test_one_monitor_is_asked_for_and_two_are_there() -> None:
    with pytest.raises(InvalidSpec, match=r"f\.yaml: holds 2 monitors where one is expected"):
        decode_monitor(f"{encode_monitor(monitor('one', endpoint=Endpoint(port=1)))}---\n{GOOD}", "f.yaml")


@pytest.mark.parametrize("name", ["minimal.yaml", "full.yaml", "flights/monitor.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    good = decode_monitor((EXAMPLES / name).read_bytes())
    assert decode_monitor(encode_monitor(good)) == good


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_text_raises_anything_else(raw: bytes | str) -> None:
    with pytest.raises(InvalidSpec):
        decode_monitors(raw)


@given(st.data())
def test_junk_in_any_place_raises_nothing_else(data: st.DataObject) -> None:
    wire = to_wire(monitor(features=[numeric("age", 0, 1), categorical("sex")]))
    place: object = wire
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(range(len(place)) if isinstance(place, list) else sorted(place)))
        below = place[key]
        if not isinstance(below, dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(JUNK)
            break
        place = below
    try:
        built = build_monitor(wire)
    except InvalidSpec:
        return
    assert decode_monitor(encode_monitor(built)) == built


names = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff"),
    min_size=1,
    max_size=12,
)


@given(
    st.lists(names, unique=True, max_size=4),
    st.lists(names, unique=True, max_size=4),
    st.floats(0, 1, exclude_min=True),
    st.sampled_from(["on", "1e5", "0x1F", "1.10", "~", "", "y", "2024-01-01", ".inf", "1:30", "a: b", "#"]),
)
def test_any_monitor_survives_yaml(
    numbers: list[str], categories: list[str], sample: float, version: str
) -> None:
    features = [numeric(name + "1", -sample) for name in numbers]
    features += [categorical(name + "2", categories=tuple(numbers)) for name in categories]
    wanted = monitor(features=features, version=version, capture=Capture(sample=sample))
    assert decode_monitor(encode_monitor(wanted)) == wanted


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("model: {name: census, type: nope}", "spec.model.type"),
        ("model: 3", "spec.model"),
    ],
)
def test_a_check_that_stumbles_over_what_is_wrong_already_is_left_out(part: str, said: str) -> None:
    more = "  labels: {}\n  performance: {thresholds: [{metric: accuracy, min: 0.5}]}\n"
    given = GOOD.replace("model: {name: census, type: classification}", part)
    given = given.replace("  capture:", f"{more}  capture:")
    with pytest.raises(InvalidSpec) as refused:
        decode_monitor(given)
    assert said in [problem.path for problem in refused.value.problems]


@pytest.mark.parametrize("key", ["a/b/c", "a b", "-a", "Upper.example/a", "x" * 64, "/a"])
def test_keys_of_labels_are_kubernetes_own(key: str) -> None:
    """One selector that the API server refuses would keep a whole namespace from its webhook entries."""
    for selector in (
        f'matchLabels: {{"{key}": x}}',
        f'matchExpressions: [{{key: "{key}", operator: Exists}}]',
    ):
        with pytest.raises(InvalidSpec, match=r"spec\.selector\.match"):
            decode_monitor(GOOD.replace("matchLabels: {app: census}", selector))


def test_a_monitors_name_fits_a_label() -> None:
    decode_monitor(GOOD.replace("name: census, uid", f"name: {'a' * 63}, uid"))
    with pytest.raises(InvalidSpec, match="at most 63"):
        decode_monitor(GOOD.replace("name: census, uid", f"name: {'a' * 64}, uid"))


def test_an_annotation_may_hold_lines_as_kubectl_apply_writes_one() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"kind":"ModelMonitor"}\n'}
    tree = json.loads(json.dumps(to_wire(monitor())))
    tree["metadata"]["annotations"] = applied
    found = build_monitor(tree)
    assert found.metadata.annotations == applied
    assert decode_monitor(encode_monitor(found)) == found


def test_an_annotation_holds_text_that_can_be_written() -> None:
    tree = to_wire(monitor())
    tree["metadata"]["annotations"] = {"a": "\ud800"}
    with pytest.raises(InvalidSpec, match="annotations"):
        build_monitor(tree)
