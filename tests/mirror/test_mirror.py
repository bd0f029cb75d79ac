"""The mirror between real sockets: what a candidate gets, and what comes of whatever it does."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
from aiohttp import web
from driftline.quantity import Duration, Size
from driftline.shadow.account import Account, Drop, Failure
from driftline.shadow.codec import WARMING
from driftline.shadow.gate import judge
from driftline.shadow.latency import EDGES
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.rules import Reason
from driftline.shadow.tally import Tally
from driftline.spec import Capture
from driftline.spec.gate import Gate
from driftline.spec.shadow import Aa, Compare, Traffic
from driftline_sidecar.analyzer.mirror import mirror as module
from driftline_sidecar.analyzer.mirror import sending
from driftline_sidecar.analyzer.mirror.book import Result
from driftline_sidecar.analyzer.mirror.breaker import FAILURES, FIRST_REST, Breaker
from driftline_sidecar.analyzer.mirror.marker import Mark, read
from driftline_sidecar.analyzer.mirror.mirror import Mirror
from driftline_sidecar.analyzer.mirror.reading import Outcome, PairReader
from driftline_sidecar.analyzer.mirror.sending import Reply, Sender
from driftline_sidecar.analyzer.mirror.waiting import Item
from driftline_sidecar.exchange import Exchange

from tests.support.children import free_port
from tests.support.mirrors import (
    KEY,
    Answering,
    agrees,
    candidate,
    mirror_config,
    mirroring,
    monitor_spec,
    parts_of,
    predicted,
)
from tests.support.shadows import same

ROOM = Traffic(queue=10_000, timeout=Duration(5))
HEADERS = b"Authorization: Bearer secret\r\nCookie: a=b\r\nX-Tenant: t\r\nContent-Type: application/json\r\n"


async def disagrees(request: web.Request, body: bytes) -> web.StreamResponse:
    """Another answer to every fifth request."""
    other = json.loads(body)["age"] % 5 == 0
    return web.json_response({"label": "yes" if other else "no", "score": 0.5 if other else 0.2})


class TestPairs:
    async def test_an_equal_candidate_agrees(self) -> None:
        async with candidate(agrees) as other, mirroring(mirror_config(other.url, traffic=ROOM)) as running:
            running.offer([predicted(n) for n in range(200)])
            found = await running.settled()
        assert found.account.paired == found.account.eligible == len(other.asked) == 200
        assert found.tally.all.differ.counts[0] == 200
        assert found.tally.errors.tolist() == [[200, 0], [0, 0]]
        assert found.tally.sample == ()

    async def test_what_differs_is_counted_told_by_segment_and_shown(self) -> None:
        async with (
            candidate(disagrees) as other,
            mirroring(mirror_config(other.url, traffic=ROOM)) as running,
        ):
            running.offer([predicted(n) for n in range(200)])
            found = await running.settled()
        assert found.tally.confusion.tolist() == [[160, 40, 0], [0, 0, 0], [0, 0, 0]]
        delta = found.tally.all.delta
        assert delta is not None
        assert delta.points @ delta.weights == pytest.approx(40 * 0.3)
        women = found.tally.segments["sex", 0]
        assert (women.requests, int(women.differ.counts[-1])) == (100, 20)
        assert len(found.tally.sample) == 40
        assert (found.tally.sample[0].live, found.tally.sample[0].candidate) == ("no (0.2)", "yes (0.5)")

    async def test_bodies_of_free_form_are_compared_field_by_field(self) -> None:
        async def answers(request: web.Request, body: bytes) -> web.StreamResponse:
            return web.json_response({"label": "no", "score": 0.2, "ssn": "2", "why": {"text": "b"}})

        of = monitor_spec(capture=Capture(redact=("$.ssn",)))
        compare = Compare(outputs=("body",))
        plan = ComparisonPlan(sort="body")
        async with candidate(answers) as other:
            config = mirror_config(other.url, traffic=ROOM, compare=compare, plan=plan)
            async with mirroring(config, of) as running:
                found = predicted(1)
                body = b'{"label": "no", "score": 0.2, "ssn": "1", "why": {"text": "a"}}'
                running.offer([_with_answer(found, body)])
                seen = await running.settled()
        assert seen.account.paired == 1
        assert seen.tally.fields.kept["$.why.text"] == (1, 1, 0, 0, 0)
        assert "$.ssn" not in seen.tally.fields.kept
        assert seen.tally.sample[0].live == '$.why.text: "a"'

    async def test_requests_that_go_twice_tell_noise_from_difference(self) -> None:
        rolls = random.Random(5)

        async def coin(request: web.Request, body: bytes) -> web.StreamResponse:
            return web.json_response({"label": "yes" if rolls.random() < 0.5 else "no", "score": 0.5})

        async with candidate(coin) as live, candidate(coin) as other:
            config = mirror_config(other.url, live=live.url, traffic=ROOM, aa=Aa(share=1.0))
            async with mirroring(config) as running:
                running.offer([predicted(n) for n in range(300)])
                found = await running.settled()
        assert len(live.asked) == len(other.asked) == 600
        assert found.tally.twice.products.count == 300
        noise = found.tally.twice.noise()[0]
        assert noise is not None
        assert 0.3 < noise < 0.7
        assert found.tally.twice.systematic().lower == 0
        assert found.tally.live_latency.sum() == found.tally.candidate_latency.sum() == 300

    async def test_its_thread_takes_the_core_from_nobody(self) -> None:
        async with candidate(agrees) as other, mirroring(mirror_config(other.url)) as running:
            running.offer([predicted(0)])
            await running.settled()
            threads = [thread for thread in threading.enumerate() if thread.name == "mirror"]
            ids = [thread.native_id for thread in threads if thread.native_id is not None]
            assert ids
            assert {os.sched_getscheduler(one) for one in ids} == {os.SCHED_BATCH}
            assert {
                os.getpriority(os.PRIO_PROCESS, one) - os.getpriority(os.PRIO_PROCESS, 0) for one in ids
            } == {module.NICER}

    async def test_both_latencies_are_of_the_first_round(self) -> None:
        """The second one finds what the first has warmed."""
        asked: Counter[tuple[str, bytes]] = Counter()

        async def warms(request: web.Request, body: bytes) -> web.StreamResponse:
            asked[request.host, body] += 1
            await asyncio.sleep(0.3 if asked[request.host, body] == 1 else 0)
            return await agrees(request, body)

        async with candidate(warms) as live, candidate(warms) as other:
            config = mirror_config(other.url, live=live.url, traffic=ROOM, aa=Aa(share=1.0))
            async with mirroring(config) as running:
                running.offer([predicted(n) for n in range(8)])
                found = await running.settled()
        cold = np.append(EDGES, np.inf) > 0.3
        for counts in (found.tally.live_latency, found.tally.candidate_latency):
            assert (counts.sum(), counts[cold].sum()) == (8, 8)

    @pytest.mark.parametrize("sort", ["body", "number"])
    async def test_noise_is_told_where_answers_are_no_classes_too(self, sort: str) -> None:
        """Free form, and numbers without a largest difference: what counts is which are alike."""
        rolls = random.Random(6)

        async def noisy(request: web.Request, body: bytes) -> web.StreamResponse:
            return web.json_response({"label": rolls.randrange(3)})

        async def steady(request: web.Request, body: bytes) -> web.StreamResponse:
            return web.json_response({"label": 7})

        plan = ComparisonPlan(sort="body" if sort == "body" else "number")
        of = monitor_spec(model="regression") if sort == "number" else None
        compare = Compare(outputs=("body",)) if sort == "body" else Compare()
        for answers, systematic in ((noisy, False), (steady, True)):
            async with candidate(noisy) as live, candidate(answers) as other:
                changed = {"live": live.url, "traffic": ROOM, "aa": Aa(share=1.0)}
                config = mirror_config(other.url, compare=compare, plan=plan, **changed)
                async with mirroring(config, of) as running:
                    running.offer([_with_answer(predicted(n), b'{"label": 0}') for n in range(200)])
                    twice = (await running.settled()).tally.twice
            assert twice.products.count == 200
            assert (twice.systematic().lower > 0) is systematic
            assert twice.noise()[1] == pytest.approx(0 if systematic else 2 / 3, abs=0.15)


class TestRequest:
    async def test_method_path_query_headers_and_body_are_the_clients(self) -> None:
        async with candidate(agrees) as other, mirroring(mirror_config(other.url)) as running:
            running.offer([predicted(1, request_headers=HEADERS)])
            await running.settled()
        request, body = other.asked[0]
        assert (request.method, request.raw_path) == ("POST", "/predict")
        assert body == predicted(1).request_body
        assert request.headers["Host"] == other.url.removeprefix("http://")
        assert request.headers["X-Tenant"] == "t"
        sent = {name.lower() for name in request.headers}
        assert sent == {"host", "x-tenant", "content-type", "content-length", "x-driftline-shadow"}
        head = b"POST /predict HTTP/1.1\r\nx-driftline-shadow: %s\r\n\r\n"
        head %= request.headers["x-driftline-shadow"].encode()
        assert read(KEY, head, time.time()) is Mark.VALID
        assert read(KEY, head, time.time(), {"uid"}) is Mark.OWN

    async def test_an_id_that_is_hidden_is_nowhere_in_what_is_sent(self) -> None:
        of = monitor_spec(capture=Capture(redact_headers=("x-request-id",)))
        found = predicted(1, request_headers=b"X-Request-Id: patient-4711\r\n")
        async with candidate(agrees) as other, mirroring(mirror_config(other.url), of) as running:
            running.offer([msgspec.structs.replace(found, id="patient-4711")])
            assert (await running.settled()).account.paired == 1
        assert "patient-4711" not in str(other.asked[0][0].headers)

    async def test_what_is_hidden_is_sent_only_where_it_is_allowed(self) -> None:
        of = monitor_spec(capture=Capture(redact=("$.ssn",), redact_headers=("X-Other",)))
        for allowed in (False, True):
            traffic = Traffic(allow_sensitive=allowed)
            async with candidate(agrees) as other:
                async with mirroring(mirror_config(other.url, traffic=traffic), of) as running:
                    found = predicted(1, request_headers=HEADERS)
                    running.offer([_with_request(found, b'{"age": 1, "sex": "m", "ssn": "12"}')])
                    assert (await running.settled()).account.paired == 1
                request, body = other.asked[0]
                assert json.loads(body)["ssn"] == ("12" if allowed else "[redacted]")
                assert ("Authorization" in request.headers) is allowed
                assert ("Cookie" in request.headers) is allowed

    @pytest.mark.parametrize("allowed", [False, True])
    async def test_a_candidate_that_wants_what_it_is_not_given_is_not_to_blame(self, allowed: bool) -> None:
        async def guarded(request: web.Request, body: bytes) -> web.StreamResponse:
            known = "Authorization" in request.headers
            return web.json_response({"label": "no", "score": 0.2}, status=200 if known else 401)

        capture = Capture(redact_headers=("x-tenant",))
        traffic = Traffic(allow_sensitive=allowed)
        async with candidate(guarded) as other:
            config = mirror_config(other.url, traffic=traffic)
            async with mirroring(config, monitor_spec(capture=capture)) as running:
                running.offer([predicted(1, request_headers=HEADERS)])
                found = await running.settled()
        assert found.account.failed == ({} if allowed else {Failure.WITHHELD: 1})
        assert found.tally.errors.sum() == (1 if allowed else 0)

    async def test_a_body_in_which_nothing_can_be_hidden_is_not_sent(self) -> None:
        of = monitor_spec(capture=Capture(redact=("$.ssn",)))
        async with candidate(agrees) as other, mirroring(mirror_config(other.url), of) as running:
            running.offer([_with_request(predicted(1), b"\x00 no JSON")])
            found = await running.settled()
        assert found.account.dropped == {Drop.UNREDACTABLE: 1}
        assert other.asked == []

    async def test_a_body_beyond_the_cap_is_counted_not_cut(self) -> None:
        async with candidate(agrees) as other, mirroring(mirror_config(other.url)) as running:
            running.offer([predicted(1, request_bytes=10 << 20), predicted(2, response_bytes=10 << 20)])
            assert running.account.dropped == {Drop.BODY_TOO_LARGE: 2}
        assert other.asked == []

    @pytest.mark.parametrize("line", ["CONNECT @%s", "POST @%s/x", "OPTIONS *%.0s"])
    async def test_what_asks_for_no_path_goes_nowhere_and_is_held_against_nobody(self, line: str) -> None:
        async with (
            candidate(agrees) as other,
            candidate(agrees) as elsewhere,
            mirroring(mirror_config(other.url)) as running,
        ):
            head = f"{line % elsewhere.url.removeprefix('http://')} HTTP/1.1\r\nHost: m\r\n\r\n".encode()
            given = [
                msgspec.structs.replace(
                    predicted(n), request_head=head, request_body=b"", request_bytes=0, status=405
                )
                for n in range(FAILURES + 2)
            ]
            running.offer(given)
            found = await running.settled()
            assert not running.mirror.resting
        assert found.account.dropped == {Drop.NO_PATH: len(given)}
        assert found.tally.errors.sum() == 0
        assert other.asked == elsewhere.asked == []


async def errs(request: web.Request, body: bytes) -> web.StreamResponse:
    if json.loads(body)["age"] % 20 == 0:
        return web.Response(status=500, text="boom")
    return await agrees(request, body)


async def always_errs(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(status=503)


async def hangs(request: web.Request, body: bytes) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def garbage(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(body=b"\xff\x00{[")


async def many_rows(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.json_response([{"label": "no", "score": 0.2}] * 3)


async def huge(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(200):
        await response.write(b"x" * 100_000)
    return response


async def breaks_off(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return response


class TestIllCandidates:
    async def test_one_that_errs_in_five_percent(self) -> None:
        async with candidate(errs) as other, mirroring(mirror_config(other.url, traffic=ROOM)) as running:
            running.offer([predicted(n) for n in range(400)])
            found = await running.settled()
        assert found.account.failed == {Failure.ERROR_RESPONSE: 20}
        assert found.account.paired == 380
        assert found.tally.errors.tolist() == [[380, 20], [0, 0]]
        assert not running.mirror.resting

    async def test_where_the_live_model_failed_there_is_nothing_to_compare_with(self) -> None:
        async with candidate(agrees) as other, mirroring(mirror_config(other.url)) as running:
            running.offer([predicted(1, status=500)])
            found = await running.settled()
        assert found.account.failed == {Failure.LIVE_FAILED: 1}
        assert found.tally.errors.tolist() == [[0, 0], [1, 0]]

    @pytest.mark.parametrize(
        ("answering", "failure"),
        [
            (garbage, Failure.UNDECODABLE),
            (many_rows, Failure.UNALIGNED),
            (huge, Failure.ANSWER_TOO_LARGE),
            (breaks_off, Failure.RESET),
            (hangs, Failure.TIMEOUT),
        ],
    )
    async def test_each_failure_has_its_name(self, answering: Answering, failure: Failure) -> None:
        impatient = Traffic(timeout=Duration(1))
        async with (
            candidate(answering) as other,
            mirroring(mirror_config(other.url, traffic=impatient)) as running,
        ):
            running.offer([predicted(n) for n in range(3)])
            found = await running.settled()
        assert found.account.failed == {failure: 3}
        assert found.tally.errors.tolist() == [[0, 3], [0, 0]]

    async def test_the_mirrors_own_want_of_room_is_nobodys_failure(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Answers within the cap that are together more than the mirror may hold."""
        monkeypatch.setattr(sending, "MOST_ANSWER_BYTES", 150_000)
        pad, all_there, begun = "x" * 60_000, asyncio.Event(), []

        async def at_length(request: web.Request, body: bytes) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(f'{{"label": "no", "score": 0.2, "pad": "{pad}'.encode())
            begun.append(request)
            if len(begun) == 4:
                all_there.set()
            await all_there.wait()
            await asyncio.sleep(0.5)  # the mirror has read what there is of each
            with suppress(ConnectionError):
                await response.write(b'"}')
            return response

        traffic = Traffic(max_concurrent=4)
        async with (
            candidate(at_length) as other,
            mirroring(mirror_config(other.url, traffic=traffic)) as running,
        ):
            running.offer([predicted(n) for n in range(4)])
            found = await running.settled()
            assert not running.mirror.resting
        assert found.account.failed.keys() == {Failure.NO_ROOM}
        assert found.account.mirrored == 4
        assert found.tally.errors.tolist() == [[found.account.paired, 0], [0, 0]]

    async def test_one_that_is_not_there_is_left_to_rest(self) -> None:
        config = mirror_config(
            f"http://127.0.0.1:{free_port()}", traffic=Traffic(max_concurrent=1, queue=500)
        )
        async with mirroring(config) as running:
            running.offer([predicted(n) for n in range(100)])
            found = await running.settled()
            assert found.account.failed == {Failure.REFUSED: FAILURES}
            assert found.account.dropped == {Drop.BREAKER_OPEN: 100 - FAILURES}
            assert running.mirror.resting
            running.offer([predicted(100)])
            assert running.account.dropped == {Drop.BREAKER_OPEN: 101 - FAILURES}
            assert running.account.attempted == 1.0

    async def test_one_that_answers_again_is_mirrored_to_again(self) -> None:
        ill = [True]

        async def recovers(request: web.Request, body: bytes) -> web.StreamResponse:
            return await (always_errs if ill[0] else agrees)(request, body)

        async with candidate(recovers) as other:
            config = mirror_config(other.url, traffic=Traffic(max_concurrent=1, queue=500))
            async with mirroring(config) as running:
                running.offer([predicted(n) for n in range(50)])
                await running.settled()
                assert running.mirror.resting
                ill[0] = False
                deadline = time.monotonic() + 3 * FIRST_REST
                while running.mirror.resting:
                    assert time.monotonic() < deadline
                    running.offer([predicted(52)])
                    await asyncio.sleep(0.2)
                assert (await running.settled()).account.paired >= 1

    async def test_one_that_speaks_no_http(self) -> None:
        async with raw_server(b"\x00\x01 nonsense\r\n\r\n") as url, mirroring(mirror_config(url)) as running:
            running.offer([predicted(1)])
            assert (await running.settled()).account.failed == {Failure.RESET: 1}


class TestBounds:
    async def test_the_queue_holds_so_many_and_the_rest_is_dropped(self) -> None:
        traffic = Traffic(max_concurrent=2, queue=10, timeout=Duration(1))
        async with candidate(hangs) as other, mirroring(mirror_config(other.url, traffic=traffic)) as running:
            began = time.monotonic()
            running.offer([predicted(n) for n in range(1000)])
            assert time.monotonic() - began < 1
            assert running.account.waiting <= 12
            assert running.account.dropped[Drop.QUEUE_FULL] >= 988
            await asyncio.sleep(0.3)
            assert len(other.asked) == 2

    async def test_it_holds_so_many_bytes(self) -> None:
        of = monitor_spec(capture=Capture(max_body_bytes=Size(4 << 20)))
        large = _with_request(predicted(1), b'{"age": 1, "sex": "' + b"x" * (3 << 20) + b'"}')
        async with (
            candidate(hangs) as other,
            mirroring(mirror_config(other.url, traffic=ROOM), of) as running,
        ):
            running.offer([large] * 5)
            assert running.account.waiting == 2
            assert running.account.dropped == {Drop.QUEUE_FULL: 3}

    async def test_what_no_empty_queue_would_hold_is_too_large(self) -> None:
        """Else it would say that the candidate was too slow."""
        of = monitor_spec(capture=Capture(max_body_bytes=Size(16 << 20)))
        large = _with_request(predicted(1), b'{"age": 1, "sex": "' + b"x" * (9 << 20) + b'"}')
        async with candidate(agrees) as other, mirroring(mirror_config(other.url), of) as running:
            running.offer([large])
            assert running.account.dropped == {Drop.BODY_TOO_LARGE: 1}

    async def test_the_budget(self) -> None:
        traffic = Traffic(budget=5.0, queue=1000)
        async with (
            candidate(agrees) as other,
            mirroring(mirror_config(other.url, traffic=traffic)) as running,
        ):
            running.offer([predicted(n) for n in range(100)])
            found = await running.settled()
        assert found.account.dropped == {Drop.BUDGET: 95}
        assert found.account.paired == 5

    async def test_nothing_goes_to_a_candidate_that_is_not_ready(self) -> None:
        async with candidate(agrees) as other, mirroring(mirror_config(other.url, ready=False)) as running:
            running.offer([predicted(1)])
            running.offer([predicted(2, response_bytes=10 << 20)])
            assert running.account.dropped == {Drop.NOT_READY: 1, Drop.BODY_TOO_LARGE: 1}
        assert other.asked == []

    async def test_a_mirror_that_is_not_ready_itself_says_so_of_itself(self) -> None:
        async with candidate(agrees) as other, mirroring(mirror_config(other.url, ready=False)) as running:
            running.mirror.replace(running.mirror.setting._replace(reader=None))
            running.offer([predicted(1)])
            assert running.account.dropped == {Drop.STARTING: 1}
            await asyncio.to_thread(running.mirror.stop)
            running.offer([predicted(2)])
            assert running.account.dropped == {Drop.STARTING: 2}
        assert other.asked == []

    async def test_what_waits_when_the_features_are_forgotten_is_the_mirrors_to_answer_for(self) -> None:
        traffic, asked = Traffic(max_concurrent=1), asyncio.Event()

        async def slow(request: web.Request, body: bytes) -> web.StreamResponse:
            asked.set()
            await asyncio.sleep(0.5)
            return await agrees(request, body)

        async with candidate(slow) as other, mirroring(mirror_config(other.url, traffic=traffic)) as running:
            running.offer([predicted(n) for n in range(5)])
            await asked.wait()
            running.mirror.replace(running.mirror.setting._replace(reader=None))
            found = await running.settled()
        assert (found.account.paired, found.account.dropped) == (1, {Drop.STARTING: 4})

    async def test_after_the_end_nothing_goes_though_nobody_says_so(self) -> None:
        over = mirror_config("", until=time.time() - 0.5)
        async with candidate(agrees) as other:
            async with mirroring(msgspec.structs.replace(over, url=other.url)) as running:
                running.offer([predicted(1)])
                assert running.account.eligible == 0
            async with mirroring(mirror_config(other.url, until=time.time() + 60)) as running:
                running.offer([predicted(1)])
                assert (await running.settled()).account.paired == 1


class TestWarmUp:
    async def test_copies_are_sent_and_nothing_is_counted(self) -> None:
        async with candidate(agrees) as other:
            config = mirror_config(other.url, traffic=ROOM, warming=True)
            async with mirroring(config) as running:
                running.offer([predicted(n) for n in range(20)])
                await until(lambda: len(other.asked) == 20)
                await asyncio.sleep(0.5)
                assert running.account == Account()
            (part,) = parts_of(running.shelf.since(0)[0])
        assert (part.day, part.account) == (WARMING, Account())
        assert same(part.tally, Tally.empty(config.plan))

    async def test_within_the_same_bounds(self) -> None:
        traffic = Traffic(max_concurrent=2, queue=3, budget=5.0, timeout=Duration(1))
        async with (
            candidate(hangs) as other,
            mirroring(mirror_config(other.url, traffic=traffic, warming=True)) as running,
        ):
            running.offer([predicted(n) for n in range(100)])
            await until(lambda: len(other.asked) == 2)
            await asyncio.sleep(0.3)
            assert len(other.asked) == 2
            await until(lambda: len(other.asked) == 3)
            await asyncio.sleep(1.5)
            assert len(other.asked) == 3
            assert running.account == Account()

    async def test_not_to_a_candidate_that_is_not_ready(self) -> None:
        async with candidate(agrees) as other:
            async with mirroring(mirror_config(other.url, ready=False, warming=True)) as running:
                running.offer([predicted(1)])
                await asyncio.sleep(0.3)
            assert other.asked == []


class TestItsOwnFaults:
    async def test_one_request_that_breaks_it_is_lost_and_the_others_go_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usual = PairReader.outcome

        def breaks(self: PairReader, exchange: Exchange, reply: Reply) -> Outcome:
            if exchange.id == "id-3":
                raise RuntimeError("a fault of the mirror")
            return usual(self, exchange, reply)

        monkeypatch.setattr(PairReader, "outcome", breaks)
        async with candidate(agrees) as other, mirroring(mirror_config(other.url)) as running:
            running.offer([predicted(n) for n in range(10)])
            found = await running.settled()
        assert (found.account.paired, found.account.lost) == (9, 1)

    async def test_one_that_was_sent_and_forgotten_forbids_every_verdict(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usual = Mirror._mirror

        async def forgets(self: Mirror, sender: Sender, item: Item) -> None:
            await usual(self, sender, item)
            if item.exchange.id == "id-3":
                item.result = None

        monkeypatch.setattr(Mirror, "_mirror", forgets)
        async with candidate(agrees) as other, mirroring(mirror_config(other.url)) as running:
            running.offer([predicted(n) for n in range(10)])
            await until(lambda: not running.book.total()[0].waiting)
            found = running.snapshot()
        assert [*found.account.problems()] == ["mirrored 10 is not paired 9 + failed 0"]
        assert judge(Gate(agreement=0.5), 1, 1e9, found, found).reason is Reason.UNBALANCED

    async def test_a_crash_loses_what_was_held_and_it_begins_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_RESTART_SECONDS", 0.1)
        async with candidate(agrees) as other, mirroring(mirror_config(other.url)) as running:
            settle = running.book.settle

            def crashes(day: int, results: Sequence[Result], now: float) -> None:
                running.book.settle = settle  # type: ignore[method-assign]
                raise MemoryError

            running.book.settle = crashes  # type: ignore[method-assign]
            running.offer([predicted(n) for n in range(5)])
            found = await running.settled()
            assert (found.account.lost, found.account.paired) == (5, 0)
            assert running.mirror.restarts == 1
            running.offer([predicted(n) for n in range(5, 10)])
            found = await running.settled()
        assert (found.account.lost, found.account.paired) == (5, 5)

    async def test_a_probe_that_is_lost_with_the_loop_is_followed_by_another(self) -> None:
        """Else the breaker would wait for its answer for ever."""
        async with candidate(agrees) as other, mirroring(mirror_config(other.url)) as running:
            running.mirror._breaker = Breaker(FAILURES, until=time.monotonic() - 1).sent()
            running.mirror.offer([predicted(1)], running.config.began)
            assert running.account.dropped == {Drop.BREAKER_OPEN: 1}, "its probe is under way"

            def crashes() -> None:
                del running.mirror._settle
                raise MemoryError

            running.mirror._settle = crashes  # type: ignore[method-assign]
            await until(lambda: running.mirror.restarts == 1)
            running.mirror.offer([predicted(2)], running.config.began)
            assert (await running.settled()).account.paired == 1
            assert not running.mirror.resting

    async def test_at_its_end_what_waits_is_lost(self, tmp_path: Path) -> None:
        traffic = Traffic(max_concurrent=2, queue=50, timeout=Duration(30))
        async with candidate(hangs) as other:
            config = mirror_config(other.url, traffic=traffic)
            async with mirroring(config, state=tmp_path) as running:
                running.offer([predicted(n) for n in range(20)])
                await asyncio.sleep(0.3)
            found = running.snapshot().account
        assert (found.eligible, found.lost, found.waiting) == (20, 20, 0)


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def _with_answer(exchange: Exchange, body: bytes) -> Exchange:
    return msgspec.structs.replace(exchange, response_body=body, response_bytes=len(body))


def _with_request(exchange: Exchange, body: bytes) -> Exchange:
    return msgspec.structs.replace(exchange, request_body=body, request_bytes=len(body))


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[str]:
    """Answers these bytes to whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
