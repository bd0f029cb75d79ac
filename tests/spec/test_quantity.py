import re

import pytest
from driftline.quantity import Duration, Size
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "seconds", "printed"),
    [
        ("5m", 300, "5m"),
        ("1h30m", 5400, "1h30m"),
        ("24h", 86400, "24h"),
        ("90s", 90, "1m30s"),
        ("1.5h", 5400, "1h30m"),
        ("2000ms", 2, "2s"),
        ("5m0s", 300, "5m"),
        ("0s", 0, "0s"),
    ],
)
def test_durations_are_read_and_printed_as_kubernetes_does(text: str, seconds: int, printed: str) -> None:
    assert (int(Duration.parse(text)), str(Duration.parse(text))) == (seconds, printed)


@pytest.mark.parametrize("text", ["500ms", "1.5s", "0.51m", "1s500ms", "7d"])
def test_a_schema_takes_nothing_that_is_refused_later(text: str) -> None:
    assert re.search(Duration.PATTERN, text) is None
    with pytest.raises(ValueError):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "such as 30s"),
        ("5", "such as 30s"),
        ("5 m", "such as 30s"),
        ("-5m", "such as 30s"),
        ("7d", "(here 168h)"),
        ("1w", "(here 168h)"),
        ("500ms", "whole number of seconds"),
        ("9" * 400 + "h", "such as 30s"),
    ],
)
def test_what_is_no_duration_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ValueError) as error:
        Duration.parse(text)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "size", "printed"),
    [
        ("1Mi", 1_048_576, "1Mi"),
        ("500k", 500_000, "500k"),
        ("65536", 65_536, "64Ki"),
        (1_048_576, 1_048_576, "1Mi"),
        ("1.5Ki", 1_536, "1536"),
        ("1e3", 1_000, "1k"),
        (0, 0, "0"),
    ],
)
def test_sizes_are_read_and_printed_as_kubernetes_does(text: str | int, size: int, printed: str) -> None:
    assert (int(Size.parse(text)), str(Size.parse(text))) == (size, printed)


@pytest.mark.parametrize("text", ["", "1MB", "1mi", "1KB", "-1", "0.5", " 1", "1_000", "1e999", -1])
def test_what_is_no_size_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match="must"):
        Size.parse(text)


@given(st.integers(0, 10**9))
def test_what_is_printed_is_read_back(number: int) -> None:
    assert Duration.parse(str(Duration(number))) == number
    assert Size.parse(str(Size(number))) == number


def test_a_format_gives_the_number_and_none_the_text() -> None:
    assert f"{Duration(300)} {Duration(300):d}" == "5m 300"
    assert f"{Size(2048)} {Size(2048):d}" == "2Ki 2048"
