"""The written report: one file, everything in it, nothing loaded."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from driftline.report import Report
from driftline_cli.chart import Level, line_chart
from driftline_cli.report_html import render, write_report

from tests.support.reports import history, report


class Balanced(HTMLParser):
    """Fails on tags that don't close in order."""

    VOID = frozenset({"meta", "line", "circle", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_self_contained_and_well_formed() -> None:
    page = render(report(), history())
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)


def test_it_says_what_the_report_says() -> None:
    page = render(report(), history())
    assert "Drifted (page) since 11:59:00Z: temp" in page
    assert "12,345" in page
    assert "queue_full 7" in page
    assert page.count("<svg") == 3 + 2
    assert "1.250" in page


def test_names_are_escaped() -> None:
    name = "<img src=x onerror=alert(1)>"
    page = render(report(name=name), history(name))
    assert name not in page
    assert "&lt;img" in page


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_json_and_html_are_written_side_by_side(tmp_path: Path, name: str) -> None:
    written = write_report(tmp_path / name, report(), history())
    assert written == (tmp_path / "report.json", tmp_path / "report.html")
    assert msgspec.json.decode(written[0].read_bytes(), type=Report) == report()
    assert json.loads(written[0].read_text())["verdict"]["drifted"] is True


def test_a_chart_has_gaps_where_there_is_no_value() -> None:
    assert line_chart([0.1, 0.2, None, 0.3, 0.4], title="psi").count("<polyline") == 2
    assert line_chart([None, 0.1, None], title="psi").count("<circle") == 1
    empty = line_chart([], title="psi", levels=[Level(0.25, "0.25")])
    assert "<polyline" not in empty
    assert 'class="level"' in empty
