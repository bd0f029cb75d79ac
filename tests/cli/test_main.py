"""Exit codes and messages of the command line's frame, and `driftline check`."""

import builtins
import subprocess
import sys
from pathlib import Path

import pytest
from driftline_cli.crds import main as write_crds
from driftline_cli.main import COMMANDS, main

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = [sys.executable, "-m", "driftline_cli.main"]


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check"], ["check", "--nonsense", "x"]])
def test_wrong_usage_ends_with_64(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 64
    assert "--help" in capsys.readouterr().err


def test_help_teaches_and_version_tells(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)
    assert "driftline check monitor.yaml" in shown
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("driftline 0.")


def test_check_sums_up_a_good_monitor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLES / "full.yaml"), str(EXAMPLES / "minimal.yaml")]) == 0
    shown = capsys.readouterr()
    assert "ml/census: fine" in shown.out
    assert "2 numeric, 2 categorical" in shown.out
    assert "the first 10,000 rows of live traffic" in shown.out
    assert shown.err == ""


def test_check_warns_where_nobody_says_which_class_is_positive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = (EXAMPLES / "full.yaml").read_text()
    bare = tmp_path / "bare.yaml"
    bare.write_text(full.replace(', positive: "yes", classes: ["no", "yes"]', ""))
    assert main(["check", str(EXAMPLES / "full.yaml"), str(bare)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  positive ")]
    assert said[0] == "  positive    yes"
    assert "warning: 1 or true, for schema.prediction has neither positive nor classes" in said[1]


def test_check_sums_up_a_shadow_and_tells_its_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(EXAMPLES / "shadow.yaml")]) == 0
    shown = capsys.readouterr()
    assert "ml/census-v4: fine" in shown.out
    assert "the live workload with another image registry.example.com/census:4, env, resources" in shown.out
    assert "errorRate 0.005, agreement 0.98" in shown.out
    assert "after 168h or more, 5,000 pairs, coverage 0.9; ends after 336h" in shown.out
    bad = tmp_path / "bad.yaml"
    bad.write_text((EXAMPLES / "shadow.yaml").read_text().replace("share: 0.05", "share: 0"))
    assert main(["check", str(bad)]) == 65
    assert "aa.share: must be above 0 for gate.systematicDifference" in capsys.readouterr().err
    bad.write_text(bad.read_text().replace("    systematicDifference: 0.1\n", ""))
    assert main(["check", str(bad)]) == 0
    assert "latencyRatio stays Inconclusive" in capsys.readouterr().out
    text = (EXAMPLES / "shadow.yaml").read_text().replace("minTime: 168h", "minTime: 1h")
    bad.write_text(text.replace("minPairs", "minpair"))
    assert main(["check", str(bad)]) == 65
    assert capsys.readouterr().err.splitlines() == [
        f"{bad}: spec.minpair: unknown field (did you mean minPairs?)",
        f"{bad}: spec.gate.minTime: below 24h needs allowUnderADay: true (1h)",
        f"{bad}: 2 problems",
    ]


def test_check_holds_a_shadow_against_its_monitor_whatever_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor, shadow = EXAMPLES / "full.yaml", tmp_path / "shadow.yaml"
    assert main(["check", str(EXAMPLES / "shadow.yaml"), str(monitor)]) == 0
    assert "weren't held" not in capsys.readouterr().out
    text = (EXAMPLES / "shadow.yaml").read_text()
    shadow.write_text(text.replace('"/v1/predict"', "/v3/predict").replace("[sex]", "[age]"))
    assert main(["check", str(shadow)]) == 0
    assert "its monitor (spec.monitorRef.name 'census') isn't among the files:" in capsys.readouterr().out
    assert main(["check", str(shadow), str(monitor)]) == 65
    shown = capsys.readouterr()
    assert "ml/census: fine" in shown.out
    assert "census-v4: fine" not in shown.out
    meets, names = "must meet a path of the monitor", "must name a categorical feature of the monitor"
    assert shown.err.splitlines() == [
        f"{shadow}: spec.traffic.paths[0]: {meets} ('/v3/predict'; it has /v1/predict, /v2/*)",
        f"{shadow}: spec.compare.segments[0]: {names} ('age' is numeric)",
        f"{shadow}: 2 problems",
    ]


def test_check_tells_every_problem_with_file_and_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    text = (EXAMPLES / "full.yaml").read_text().replace("max: 120", "max: -1").replace("minRows", "minrow")
    bad.write_text(text)
    assert main(["check", str(bad)]) == 65
    assert capsys.readouterr().err.splitlines() == [
        f"{bad}: spec.schema.features[0].range.max: must be above min (-1 < 0)",
        f"{bad}: spec.drift.minrow: unknown field (did you mean minRows?)",
        f"{bad}: 2 problems",
    ]


def test_check_of_a_file_that_is_not_there_ends_with_66(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "/nowhere/monitor.yaml"]) == 66
    assert capsys.readouterr().err == "driftline: /nowhere/monitor.yaml: No such file or directory\n"


def test_check_needs_no_library_of_the_extra() -> None:
    code = (
        "import sys; from driftline_cli.main import main; "
        f"code = main(['check', *{[str(EXAMPLES / name) for name in ('full.yaml', 'shadow.yaml')]!r}]); "
        "print([n for n in ('duckdb', 'pyarrow', 'rich', 'numpy') if n in sys.modules]); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_a_missing_extra_is_said_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without_rich(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "rich":
            raise ModuleNotFoundError("No module named 'rich'", name="rich")
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "driftline_cli.commands.top", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_rich)
    assert main(["top"]) == 69
    assert "pip install 'driftline[cli]'" in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_fault() -> None:
    files = [str(EXAMPLES / "full.yaml")] * 2000
    program = subprocess.Popen([*PROGRAM, "check", *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    errors = program.stderr.read()
    program.stderr.close()
    assert (program.wait(), errors) == (141, b"")


def test_interruption_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("driftline_cli.commands.check.run", interrupt)
    assert main(["check", "x"]) == 130


def test_a_fault_of_ours_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> int:
        raise RuntimeError("broken")

    monkeypatch.setattr("driftline_cli.commands.check.run", fail)
    assert main(["check", "x"]) == 70
    assert "please report it" in capsys.readouterr().err


def test_the_crds_are_written_where_asked(tmp_path: Path) -> None:
    assert write_crds([str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "modelmonitors.driftline.io.yaml").read_text().startswith("# Generated")
    assert write_crds([]) == 64
