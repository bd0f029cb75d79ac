"""The demo's own parts: that it replays what is in the data, and tells what it was told."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import datetime, timedelta

import pandas as pd
import pytest
from driftline.report import (
    CaptureReport,
    FeatureReport,
    Report,
    RequestReport,
    VerdictReport,
    WindowReport,
)
from driftline.verdict import State

from examples.flights import flights, train
from examples.flights.history import Calendar, courses
from examples.flights.picture import draw
from examples.flights.replay import Pace, Progress
from examples.flights.story import Story

JUNE = datetime(2013, 6, 1)


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    return flights.load()


def report(end: float, **features: FeatureReport) -> Report:
    window = WindowReport(
        window="5s",
        role="page",
        start=end - 5,
        end=end,
        rows=5000,
        requests=700,
        state=State.OK,
        features=features,
    )
    return Report(
        monitor="flights", namespace="default", model="late", version="1", generated=end, windows=(window,),
        requests=RequestReport(total=700, rate=140.0),
        capture=CaptureReport(seen=700, captured=690, lost=1, dropped={"queue_full": 9}),
        verdict=VerdictReport(drifted=False),
    )  # fmt: skip


def feature(psi: float | None, *, drifted: bool = False, p: float | None = 0.5) -> FeatureReport:
    return FeatureReport(type="numeric", role="feature", statistics={"psi": psi}, p=p, drifted=drifted)


def test_requests_hold_every_flight_once_in_time_order(year: pd.DataFrame) -> None:
    asked = list(flights.requests(year))
    assert sum(len(request.flights) for request in asked) == len(year) == 120_000
    assert [request.due for request in asked] == sorted(request.due for request in asked)
    assert {flight["origin"] for flight in asked[0].flights} == {asked[0].flights[0]["origin"]}


def test_what_the_station_did_not_record_is_null_and_never_nan(year: pd.DataFrame) -> None:
    values = [flight["temp"] for request in flights.requests(year) for flight in request.flights]
    assert values.count(None) == int(year["temp"].isna().sum()) > 0
    assert all(value == value for value in values)


def test_the_pace_is_the_calendars() -> None:
    pace = Pace(seconds=365, start=100.0)
    assert pace.due(flights.YEAR_STARTS) == 100.0
    assert pace.due(flights.YEAR_STARTS + timedelta(days=31)) == pytest.approx(131.0)


def test_the_models_scores_know_nothing_of_unknown_airports_and_missing_weather(year: pd.DataFrame) -> None:
    model = train.train(flights.between(year, flights.YEAR_STARTS, datetime(2013, 1, 15)))
    record = year[list(flights.FEATURES)].iloc[0].to_dict() | {"dest": "XXX", "temp": None}
    assert 0 < model.scores([record])[0] < 1


def test_the_calendar_maps_windows_to_dates() -> None:
    calendar = Calendar([(100.0, flights.YEAR_STARTS), (110.0, flights.YEAR_STARTS + timedelta(days=30))])
    assert calendar.date(105.0) == flights.YEAR_STARTS + timedelta(days=15)
    assert calendar.date(50.0) == flights.YEAR_STARTS
    assert calendar.date(500.0) == flights.YEAR_STARTS + timedelta(days=30)


CALENDAR = Calendar([(0.0, flights.YEAR_STARTS), (120.0, flights.YEAR_ENDS)])


def test_courses_come_earliest_drift_first_and_count_a_window_once() -> None:
    said = [
        report(10.0, temp=feature(0.2), humid=feature(0.1), visib=feature(None, p=None)),
        report(10.0, temp=feature(0.2), humid=feature(0.1)),
        report(60.0, temp=feature(2.5, drifted=True, p=1e-4), humid=feature(0.6)),
    ]
    temp, humid = courses(said, "5s", CALENDAR)
    assert (temp.name, humid.name) == ("temp", "humid")
    assert [point.psi for point in temp.points] == [0.2, 2.5]
    assert temp.first_drifted is not None
    assert temp.first_drifted.date.month == 7
    assert humid.first_drifted is None


def story() -> Story:
    said = [
        report(10.0, temp=feature(0.2), humid=feature(0.1)),
        report(60.0, temp=feature(2.5, drifted=True)),
    ]
    progress = Progress(requests=1400, rows=10_000)
    return Story("5s", courses(said, "5s", CALENDAR), [], progress, said[-1])


def test_the_story_names_what_drifted_when_and_what_did_not() -> None:
    drifted, stable = story().lines()
    assert drifted.startswith("temp")
    assert "paged from 02 July on (PSI 2.50" in drifted
    assert stable == "Not called drift (largest PSI): humid 0.10."


def test_the_story_says_when_drift_ended() -> None:
    said = [report(60.0, temp=feature(2.5, drifted=True)), report(90.0, temp=feature(0.1))]
    told = Story("5s", courses(said, "5s", CALENDAR), [], Progress(), said[-1]).lines()
    assert "paged from 02 July until 01 October (PSI 2.50" in told[0]


def test_what_only_the_shorter_window_called_is_a_warning() -> None:
    long = courses([report(60.0, temp=feature(0.3))], "5s", CALENDAR)
    short = courses([report(60.0, temp=feature(0.4, drifted=True))], "5s", CALENDAR)
    told = Story("5s", long, short, Progress(), report(60.0)).lines()
    assert len(told) == 1
    assert "warned from 02 July on (PSI 0.40" in told[0]


def test_the_story_says_when_drift_was_called_within_the_reference() -> None:
    said = [report(10.0, temp=feature(0.4, drifted=True))]
    told = Story("5s", courses(said, "5s", CALENDAR), [], Progress(), said[-1])
    assert "Called drift within the reference's own months: temp." in told.lines()


def test_the_report_accounts_for_every_request_seen() -> None:
    text = story().markdown()
    assert "saw 700 requests: 690 captured, 9 dropped, 1 lost" in text
    assert "| temp | feature | 02 Jul | 2.500 | 0.5 | 2.500 |" in text
    assert "| humid | feature | never | | | 0.100 |" in text


def test_the_picture_is_well_formed_and_marks_drift() -> None:
    picture = ET.fromstring(draw(story().courses, "5s"))
    fills = [element.get("fill") for element in picture.iter() if element.tag.endswith("rect")]
    assert "#c43c39" in fills  # PSI above 1
    assert fills.count("#7a1f2b") == 2  # the drifted window, and the legend
