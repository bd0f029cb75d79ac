"""Releases that meet during an upgrade: an older sidecar, a newer controller, and the reverse.

What they tell each other says its version; what isn't understood is refused with the reason, and harms
neither what is understood nor the traffic.
"""

from __future__ import annotations

import gzip
import http.client
import json
import struct
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from driftline.decoding import decode_monitor
from driftline.errors import DataError, ProfileError
from driftline.pane_codec import ENVELOPE, MAGIC, decode_pane
from driftline.profile import FORMAT
from driftline.profile_codec import decode_profile, encode_profile
from driftline_operator.controller.observed import observe
from driftline_operator.fleet.pull import Missed, Page, Puller
from driftline_sidecar.monitor_files import MonitorFiles, tolerant

from tests.operator.fleet.test_pull import PANE, PROFILE, TOKEN, serving
from tests.operator.test_plan import body
from tests.support.children import MONITOR, model, proxy
from tests.support.fleets import page

NEWER_PANE = PANE[: len(MAGIC)] + bytes([ENVELOPE.version + 1]) + PANE[len(MAGIC) + 1 :]
NEWER_MONITOR = MONITOR.replace("spec:\n", "spec:\n  attention: {heads: 8}\n", 1)
assert NEWER_MONITOR != MONITOR


def test_a_pane_of_a_newer_sidecar_is_refused_and_both_versions_are_named() -> None:
    """Of the format's first version none is older."""
    assert decode_pane(PANE).profile_hash == PROFILE.hash
    read = f"format version {ENVELOPE.version + 1}, this program reads {ENVELOPE.version}"
    with pytest.raises(DataError, match=read):
        decode_pane(NEWER_PANE)


async def test_a_pod_with_a_newer_sidecar_doesnt_keep_the_others_counts_back() -> None:
    async def older(_: web.Request) -> web.Response:
        return web.Response(body=page(PANE))

    async def newer(_: web.Request) -> web.Response:
        return web.Response(body=page(PANE, NEWER_PANE))

    found = []
    for answer in (older, newer):
        app = web.Application()
        app.router.add_get("/v1/panes", answer)
        async with serving(app) as port, Puller(1, port) as puller:
            found.append(await puller.panes("127.0.0.1", "ml/census", "", TOKEN))
    assert isinstance(found[0], Page)
    assert found[1] is Missed.UNREADABLE, "the word of modelmonitor_fleet_pods, and nothing of it is merged"


def test_a_profile_of_a_newer_release_is_refused_with_what_to_do() -> None:
    raw = bytearray(gzip.decompress(encode_profile(PROFILE)))
    struct.pack_into("<H", raw, len(b"DRIFTPRF"), FORMAT + 1)
    with pytest.raises(ProfileError, match=rf"format version {FORMAT + 1} .*upgrade driftline"):
        decode_profile(gzip.compress(bytes(raw)), "census.profile")


def test_what_a_controller_hands_on_holds_no_field_that_the_user_left_out() -> None:
    """So a newer release's defaults are no unknown fields to sidecars of the one before."""
    given = body("census", drift={"minRows": 500})
    document = yaml.safe_load(observe(given).document)
    assert document["spec"] == given["spec"]
    assert document["metadata"] == {"name": "census", "namespace": "ml"}


def test_a_newer_monitor_leaves_the_one_in_force_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "flights"
    folder.mkdir()
    (folder / "monitor.yaml").write_text(MONITOR)
    files = MonitorFiles(None, tmp_path)
    (before,) = files.load()
    (folder / "monitor.yaml").write_text(NEWER_MONITOR)
    assert files.poll(1.0) is None
    assert files.placed == [before]
    (refusal,) = files.refusals
    assert "spec.attention: unknown field" in refusal.reason
    (folder / "monitor.yaml").write_text(MONITOR)
    files.poll(2.0)
    assert files.refusals == []


def test_an_older_sidecar_that_starts_on_a_newer_monitor_has_none(tmp_path: Path) -> None:
    (tmp_path / "flights").mkdir()
    (tmp_path / "flights" / "monitor.yaml").write_text(NEWER_MONITOR)
    files = MonitorFiles(None, tmp_path)
    assert tolerant(files, 0.0) == []
    assert "spec.attention: unknown field" in files.refusals[0].reason


def test_a_proxy_relays_whatever_a_newer_monitor_says(tmp_path: Path) -> None:
    """From its start, and as the file changes under it."""
    with model(tmp_path) as (upstream, _), proxy(tmp_path, upstream, monitor=NEWER_MONITOR) as running:
        for given in (NEWER_MONITOR, MONITOR, NEWER_MONITOR):
            (tmp_path / "monitor.yaml").write_text(given)
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
            content = json.dumps({"instances": [{"age": 1}]})
            connection.request("POST", "/predict", content, {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200
            connection.close()
        assert "unknown field" in running.log.read_text()


def test_the_same_release_reads_what_it_wrote() -> None:
    """The guard of the tests above: they change what is read here."""
    assert decode_monitor(MONITOR).metadata.name == yaml.safe_load(MONITOR)["metadata"]["name"]
    assert decode_profile(encode_profile(PROFILE), "p").hash == PROFILE.hash
