from driftline.routes import route
from driftline.spec import Endpoint

from tests.support.specs import monitor


def test_the_more_specific_claim_gets_the_request() -> None:
    every = monitor("every", endpoint=Endpoint(port=80))
    prefix = monitor("prefix", endpoint=Endpoint(port=80, paths=("/v1/*",)))
    exact = monitor("exact", endpoint=Endpoint(port=80, paths=("/v1/a",)))
    monitors = [every, prefix, exact]
    found = {path: route(monitors, path) for path in ("/v1/a", "/v1/b", "/v2")}
    assert found == {"/v1/a": exact, "/v1/b": prefix, "/v2": every}
    assert route([exact], "/nothing") is None
