"""What the mirror decides without a network: whom it mirrors, what it sends, when a candidate may rest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from driftline.shadow.account import Drop
from driftline.spec import Capture
from driftline.spec.shadow import Aa, Traffic
from driftline_sidecar.analyzer.mirror import marker
from driftline_sidecar.analyzer.mirror.admission import flaw, goes_twice, is_eligible
from driftline_sidecar.analyzer.mirror.breaker import FAILURES, FIRST_REST, LONGEST_REST, Breaker
from driftline_sidecar.analyzer.mirror.bucket import Bucket
from driftline_sidecar.analyzer.mirror.marker import (
    _MOST_LASTING,
    Mark,
    Reader,
    Seal,
    key_of_token,
    read,
    sign,
)
from driftline_sidecar.analyzer.mirror.requests import copy_of, path_of

from tests.support.mirrors import KEY, mirror_config, predicted

URL = "http://127.0.0.1:1"
SEAL = Seal(KEY, "uid", "candidate")


class TestEligible:
    def test_the_sample_is_the_same_everywhere_and_of_the_size_asked_for(self) -> None:
        config = mirror_config(URL, traffic=Traffic(sample=0.2))
        chosen = [n for n in range(5000) if is_eligible(config, predicted(n))]
        assert 0.17 * 5000 < len(chosen) < 0.23 * 5000
        assert chosen == [n for n in range(5000) if is_eligible(config, predicted(n))]

    def test_which_go_twice_has_nothing_to_do_with_which_are_sampled(self) -> None:
        config = mirror_config(URL, traffic=Traffic(sample=0.2), aa=Aa(share=0.2))
        sampled = [predicted(n) for n in range(5000) if is_eligible(config, predicted(n))]
        twice = [each for each in sampled if goes_twice(config, each)]
        assert 0.14 * len(sampled) < len(twice) < 0.26 * len(sampled)
        assert not goes_twice(mirror_config(URL), sampled[0])

    @pytest.mark.parametrize(
        ("paths", "eligible"), [((), True), (("/predict",), True), (("/pre*",), True), (("/other",), False)]
    )
    def test_paths(self, paths: tuple[str, ...], eligible: bool) -> None:
        found = predicted(1)
        assert found.path == "/predict"
        assert is_eligible(mirror_config(URL, traffic=Traffic(paths=paths)), found) is eligible

    def test_bodies_that_are_not_whole(self) -> None:
        found = predicted(1)
        assert flaw(found, 1024) is None
        assert flaw(msgspec.structs.replace(found, request_bytes=2000), 1024) is Drop.BODY_TOO_LARGE
        assert flaw(msgspec.structs.replace(found, response_bytes=2000), 1024) is Drop.BODY_TOO_LARGE
        assert flaw(msgspec.structs.replace(found, request_bytes=900), 1024) is Drop.INCOMPLETE


class TestCopy:
    HEAD = (
        b"POST /predict?a=%20b HTTP/1.1\r\nHost: live:80\r\nContent-Type: application/json\r\n"
        b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\n"
        b"X-Tenant: a\r\nX-Tenant: b\r\nX-Driftline-Shadow: forged\r\nX-Name: \xc3\xa4\r\n\r\n"
    )

    def test_what_is_the_connections_stays_behind_and_the_rest_is_as_it_came(self) -> None:
        found = copy_of(msgspec.structs.replace(predicted(1), request_head=self.HEAD))
        assert (found.method, found.target) == ("POST", "/predict?a=%20b")
        assert found.headers == (
            ("Content-Type", "application/json"),
            ("X-Tenant", "a"),
            ("X-Tenant", "b"),
            ("X-Name", "ä"),
        )
        assert found.body == predicted(1).request_body

    @pytest.mark.parametrize(
        ("line", "path"),
        [
            (b"POST /predict?a=1", "/predict?a=1"),
            (b"POST //b/x", "//b/x"),
            (b"POST /\xe4", "/%E4"),
            (b"POST http://b:1/x?a=1", "/x?a=1"),
            (b"POST http://b", "/"),
            (b"POST http://a@b/@c", "/@c"),
            (b"CONNECT /x", None),
            (b"CONNECT b:80", None),
            (b"CONNECT @b:80", None),
            (b"OPTIONS *", None),
            (b"POST @b/x", None),
            (b"POST http:@b/x", None),
            (b"POST ?@b", None),
            (b"POST .b/x", None),
            (b"POST http://[::1/x", None),
        ],
    )
    def test_a_client_chooses_the_path_and_never_the_address(self, line: bytes, path: str | None) -> None:
        head = line + b" HTTP/1.1\r\nHost: live\r\n\r\n"
        found = msgspec.structs.replace(predicted(1), request_head=head)
        assert path_of(found) == path
        assert flaw(found, 1024) is (Drop.NO_PATH if path is None else None)
        if path is None:
            with pytest.raises(ValueError, match="no path"):
                copy_of(found)
        else:
            assert copy_of(found).target == path


class TestMarker:
    def _head(self, value: bytes, line: bytes = b"POST /predict HTTP/1.1") -> bytes:
        return line + b"\r\nHost: a\r\nX-Driftline-Shadow: " + value + b"\r\n\r\n"

    def _signed(self, line: bytes = b"POST /predict HTTP/1.1", **seal: Any) -> bytes:
        return self._head(sign(SEAL._replace(**seal), 1000.0, "POST", "/predict"), line)

    def test_what_is_signed_is_valid_for_a_minute_and_that_request(self) -> None:
        head = self._signed(shadow="a b/\u00e4")
        assert [read(KEY, head, t) for t in (1000.0, 1059.0, 941.0)] == [Mark.VALID] * 3
        assert [read(KEY, head, t) for t in (1061.0, 939.0)] == [Mark.INVALID] * 2
        assert read(b"x" * 32, head, 1000.0) is Mark.INVALID
        assert read(KEY, self._signed(b"POST /other HTTP/1.1"), 1000.0) is Mark.INVALID
        assert read(KEY, self._signed(b"PUT /predict HTTP/1.1"), 1000.0) is Mark.INVALID

    @pytest.mark.parametrize("value", [b"", b"1", b"1 2 3 4 5 6", b"\xff " * 6, b"1 " * 5000, b"true"])
    def test_what_a_client_makes_up_is_not(self, value: bytes) -> None:
        assert read(KEY, self._head(value), 1000.0) is Mark.INVALID

    def test_any_change_makes_it_invalid(self) -> None:
        value = sign(SEAL, 1000.0, "POST", "/predict")
        for at in range(len(value)):
            changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            assert read(KEY, self._head(changed), 1000.0, {"uid"}) is Mark.INVALID, changed

    def test_without_a_key_nothing_is_valid(self) -> None:
        assert read(b"", self._signed(key=b""), 1000.0) is Mark.INVALID

    def test_a_candidate_hides_nothing_from_those_who_mirror_to_it(self) -> None:
        """Whoever else gets it may be the candidate's own sidecar, even one that mirrors to others."""
        head = self._signed(shadow="a b")
        assert read(KEY, head, 1000.0, {"a b", "another"}) is Mark.OWN
        assert read(KEY, head, 5000.0, {"a b"}) is Mark.OWN, "nor does it come back to them later"
        assert read(KEY, head, 1000.0, {"another"}) is Mark.VALID
        assert read(KEY, self._signed(shadow="a b", side="live"), 1000.0, {"a b"}) is Mark.VALID
        forged = head.replace(b" candidate ", b" live ")
        assert forged != head
        assert read(KEY, forged, 1000.0, {"a b"}) is Mark.INVALID

    def test_each_is_believed_once(self) -> None:
        reader = Reader()
        sent = [self._signed() for _ in range(2)]
        assert [reader(KEY, head, 1000.0, 1000.0) for head in sent] == [Mark.VALID] * 2, "one went twice"
        assert [reader(KEY, head, 1001.0, 1001.0) for head in sent] == [Mark.INVALID] * 2
        assert reader(KEY, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 1001.0, 1001.0) is Mark.NONE

    def test_how_long_an_answer_took_does_not_matter(self) -> None:
        """`traffic.timeout` may be ten minutes; the marker's minute is from one begin to the other."""
        reader, head = Reader(), self._signed()
        assert reader(KEY, head, 1001.0, 1601.0) is Mark.VALID
        assert reader(KEY, head, 1059.0, 1059.0 + _MOST_LASTING) is Mark.INVALID, "and yet once only"

    def test_none_is_believed_for_longer_than_it_is_remembered(self) -> None:
        reader, head = Reader(), self._signed()
        assert reader(KEY, head, 941.0, 941.0) is Mark.VALID
        assert reader(KEY, self._signed(), 1059.0, 1060.0 + _MOST_LASTING) is Mark.INVALID
        assert reader(KEY, self._signed(), 1059.0, 1059.0 + _MOST_LASTING) is Mark.VALID
        assert reader(KEY, head, 1059.0, 1059.0 + _MOST_LASTING) is Mark.INVALID

    def test_so_many_are_remembered_and_no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(marker, "_MOST_SEEN", 3)
        reader = Reader()
        heads = [self._signed() for _ in range(4)]
        assert {reader(KEY, head, 1000.0, 1000.0) for head in heads} == {Mark.VALID}
        assert reader(KEY, heads[0], 1000.0, 1000.0) is Mark.VALID, "the oldest is forgotten"
        assert reader(KEY, heads[3], 1000.0, 1000.0) is Mark.INVALID

    def test_no_marker(self) -> None:
        assert read(KEY, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 0.0) is Mark.NONE

    def test_a_tokens_key_is_not_the_token(self) -> None:
        assert key_of_token("a") != key_of_token("b")
        assert b"token" not in key_of_token("token")


class TestBreaker:
    def _opened(self, now: float = 100.0) -> Breaker:
        breaker = Breaker()
        for _ in range(FAILURES):
            assert breaker.allows(now)
            breaker = breaker.sent().failed(now)
        return breaker

    def test_it_opens_after_failures_in_a_row(self) -> None:
        breaker = self._opened()
        assert breaker.is_open
        assert not breaker.allows(100.0 + FIRST_REST - 0.1)

    def test_an_answer_begins_the_row_anew(self) -> None:
        breaker = Breaker()
        for number in range(10 * FAILURES):
            breaker = breaker.succeeded() if number % (FAILURES - 1) == 0 else breaker.failed(0.0)
        assert not breaker.is_open

    def test_one_probe_at_a_time_and_longer_rests(self) -> None:
        now, breaker, rests = 100.0, self._opened(), []
        for _ in range(6):
            rests.append(breaker.until - now)
            now = breaker.until
            assert breaker.allows(now)
            breaker = breaker.sent()
            assert not breaker.allows(now)
            breaker = breaker.failed(now)
        assert rests == [5.0, 10.0, 20.0, 40.0, LONGEST_REST, LONGEST_REST]
        assert not breaker.sent().succeeded().is_open

    def test_what_fails_late_does_not_lengthen_the_rest(self) -> None:
        breaker = self._opened()
        assert breaker.failed(104.0) == breaker

    def test_a_probe_that_was_not_sent_leaves_room_for_the_next(self) -> None:
        breaker = self._opened().sent()
        assert not breaker.allows(200.0)
        assert breaker.abandoned().allows(200.0)


class TestBudget:
    def test_so_many_a_second(self) -> None:
        bucket = Bucket(10.0, 0.0)
        assert sum(bucket.take(second / 100) for second in range(1000)) == pytest.approx(110, abs=1)

    def test_less_than_one_a_second(self) -> None:
        bucket = Bucket(0.5, 0.0)
        assert sum(bucket.take(float(second)) for second in range(100)) == pytest.approx(50, abs=1)

    def test_no_limit(self) -> None:
        bucket = Bucket(None, 0.0)
        assert all(bucket.take(0.0) for _ in range(1000))


def test_credentials_are_among_what_a_monitor_redacts() -> None:
    assert {"authorization", "cookie", "x-api-key"} <= set(Capture().redact_headers)
