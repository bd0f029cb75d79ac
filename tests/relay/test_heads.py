"""Heads: the quick reading of plain ones comes to llhttp's judgement."""

from __future__ import annotations

import pytest
from driftline_sidecar.relay.heads import UNTIL_CLOSE, Heads, RequestHead, ResponseHead, Unparsable
from driftline_sidecar.settings import CaptureSettings
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.wire import ROUTE

HEADS = Heads(CaptureSettings((ROUTE,)))

names = st.sampled_from(
    ["Host", "Content-Length", "content-length", "Transfer-Encoding", "Connection", "Upgrade", "Expect"]
) | st.sampled_from(
    ["X-Request-Id", "ce-id", "Date", "X_Odd", "Proxy-Connection", "Trailer", "Content-Length ", "", "Ä"]
)
values = st.one_of(
    st.sampled_from(["0", "5", " 7 ", "+5", "0x5", "5,5", "", "9" * 18, "9" * 20, "chunked", "gzip, chunked"])
    | st.sampled_from(["close", "upgrade", "keep-alive, Upgrade", "h2c", "websocket", "100-continue", "a b"]),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=12),
)
fields = st.lists(st.tuples(names, st.sampled_from([": ", ":", ":  ", " : "]), values), max_size=5)
methods = st.sampled_from(
    ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "get", "PRI"]
)
targets = st.sampled_from(
    ["/", "/predict?a=b", "*", "/a b", "http://m/predict", "/ä", "/%zz", "m:80"]
) | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=8).map("/".__add__)
versions = st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/0.9", "http/1.1"])
Fields = list[tuple[str, str, str]]


def head(first: str, lines: Fields) -> bytes:
    return "".join([first, "\r\n", *(f"{n}{s}{v}\r\n" for n, s, v in lines), "\r\n"]).encode("latin-1")


@settings(max_examples=2000)
@given(methods, targets, versions, fields)
@example("POST", "/predict", "HTTP/1.1", [("Content-Length", ": ", "5"), ("X-Request-Id", ": ", "a-1")])
def test_a_plain_request_is_judged_as_llhttp_judges_it(
    method: str, target: str, version: str, lines: Fields
) -> None:
    raw = head(f"{method} {target} {version}", lines)
    plain = HEADS.plain_request(raw)
    if plain is not None:
        assert _request(plain) == _request(HEADS.request(raw))


@settings(max_examples=2000)
@given(versions, st.integers(98, 605), st.sampled_from([" OK", " ", "", " Not Found", " Ä"]), fields)
@example("HTTP/1.1", 200, " OK", [("Content-Length", ": ", "5"), ("Date", ": ", "today")])
@example("HTTP/1.1", 304, " Not Modified", [("Content-Length", ": ", "5")])
def test_a_plain_response_is_judged_as_llhttp_judges_it(
    version: str, status: int, reason: str, lines: Fields
) -> None:
    raw = head(f"{version} {status}{reason}", lines)
    plain = HEADS.plain_response(raw)
    if plain is not None:
        assert _response(plain) == _response(HEADS.response(raw))


def _request(found: RequestHead) -> tuple[object, ...]:
    return found.raw, found.length, found.upgrade, found.identity, found.route, found.special


def _response(found: ResponseHead) -> tuple[object, ...]:
    return found.raw, found.status, found.length


def test_what_clients_and_servers_send_is_plain() -> None:
    lines = [
        ("Host", ": ", "m"),
        ("Accept", ": ", "*/*"),
        ("X-Request-Id", ": ", "a-1"),
        ("Content-Length", ": ", "9"),
    ]
    request = HEADS.plain_request(head("POST /v1/models/m:predict?x=1 HTTP/1.1", lines))
    assert request is not None
    assert (request.length, request.identity, request.route) == (9, b"a-1", ROUTE)
    response = HEADS.plain_response(head("HTTP/1.0 200 OK", [("Server", ": ", "s")]))
    assert response is not None
    assert response.length == UNTIL_CLOSE


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5, 5\r\n",
        "A: b\n",
        "A: b\r\n c\r\n",
    ],
)
def test_what_parsers_may_disagree_about_is_refused(lines: str) -> None:
    raw = f"POST / HTTP/1.1\r\n{lines}\r\n".encode()
    assert HEADS.plain_request(raw) is None
    with pytest.raises(Unparsable):
        HEADS.request(raw)
