"""What the controller writes for sidecars is what their pods mount: a key left out is never seen."""

from __future__ import annotations

from driftline.decoding import build_monitor
from driftline.shadow.runtime import MIRROR_FILE
from driftline_operator import names
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import Installation, Reference, observe
from driftline_operator.controller.plan.objects import config_map
from driftline_operator.injection.sidecars import Settings, volumes

from tests.support.hubs import document


def test_every_key_of_the_monitors_config_map_is_mounted_in_its_folder() -> None:
    given = document()
    given["metadata"]["uid"] = "u"
    reference = Reference(ReferenceReason.PROFILE_LOADED, "", b"profile", "hash", recapture="next")
    installation = Installation(sidecar=Settings(image="x"), bundle=b"ca")
    body = config_map(observe(given), reference, installation, "", mirror="{}").body
    written = {*body["data"], *body["binaryData"]}
    assert {names.SHADOW_KEY, names.CAPTURE_KEY, names.CA_KEY, names.PROFILE_KEY} < written
    assert names.SHADOW_KEY == MIRROR_FILE
    projected = next(each for each in volumes([build_monitor(given)]) if each["name"] == names.CONFIG_VOLUME)
    sources = [source["configMap"] for source in projected["projected"]["sources"]]
    own = next(each for each in sources if each["name"] == body["metadata"]["name"])
    assert {item["key"]: item["path"] for item in own["items"]} == {key: f"census/{key}" for key in written}
