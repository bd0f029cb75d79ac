"""What is told to the kernel, as golden files, and the command line that says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from driftline.errors import InvalidSpec
from driftline_sidecar.main import main
from driftline_sidecar.redirect import Family, Redirection, has_global_address, redirect_settings, ruleset

GOLDEN = Path(__file__).parent / "golden"
PORTS = (Redirection(8080, 15080), Redirection(15083, 8080))


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_the_rules_are_those_of_the_file(family: Family) -> None:
    assert ruleset(family, PORTS) == (GOLDEN / f"{family}.nft").read_text()


def test_the_command_line_says_which_ports() -> None:
    assert redirect_settings({"port": ["8080:15080", "15083:8080"]}).ports == PORTS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "must be given"),
        (["8080"], "must be FROM:TO"),
        (["8080:0"], "must be FROM:TO"),
        (["8080:8080"], "must be FROM:TO"),
        (["8080:65536"], "must be FROM:TO"),
        (["8080:15080 accept"], "must be FROM:TO"),
        (["8080:15080:1"], "must be FROM:TO"),
        (["8080:15080", "8080:15083"], "must not send one port to two"),
    ],
)
def test_what_is_wrong_is_said(given: list[str], said: str) -> None:
    with pytest.raises(InvalidSpec, match=said):
        redirect_settings({"port": given})


def test_a_wrong_command_line_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redirect", "--port", "http"]) == 64
    assert "--port: must be FROM:TO" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("addresses", "holds"),
    [
        ("", False),
        ("00000000000000000000000000000001 01 80 10 80       lo\n", False),
        ("fe800000000000000000000000000002 02 40 20 80     eth0\n", False),
        ("fd000000000000000000000000000002 02 40 00 80     eth0\n", True),
    ],
)
def test_only_global_addresses_make_ipv6_matter(addresses: str, holds: bool) -> None:
    assert has_global_address(addresses) is holds
