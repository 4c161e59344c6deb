"""HEAD, wherever there is GET."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.http.access import bearer, send_raw
from tests.http.route_table import served
from tests.support.guarded_service import Guarded
from tests.support.service import Service

UNKNOWN = "019aabb1-7c80-7000-8a51-0f1d2c3b4a59"
VARYING = ("x-request-id", "date", "x-history-lag-seconds", "transfer-encoding")
"""Headers that differ between two answers; a body's transfer coding need not be told (RFC 9110, 9.3.2)."""


@pytest.fixture(scope="module")
def kept(service: Service) -> str:
    """The id of an interaction of ana's."""
    with service.client() as client:
        body = {"userId": "head-ana", "userPrompt": "hi", "conversationId": "c"}
        return str(client.post("/v1/chat", json=body).json()["id"])


def paths() -> Iterator[str]:
    """A path of every route that takes GET, and some that are refused."""
    names = {
        "{userId}": "head-ana",
        "{modelId:path}": "gem-healthy",
        "{interactionId:interaction}": "{kept}",
        "/console/{name}": "/console/main.js",
        "/docs/assets": "/docs/assets/swagger-ui.css",
    }
    for route in served():
        if "GET" in route.methods and route.path != "/metrics":  # whose length always changes
            path = route.path
            for name, value in names.items():
                path = path.replace(name, value)
            yield path
    yield "/no/such/route"
    yield "/v1/models/nothing"
    yield f"/v1/history/head-ana/{UNKNOWN}"
    yield "/v1/history/head-ana?unknown=1"
    yield "/v1/history/head-ana/export?format=csv"


@pytest.mark.seen("C5")
@pytest.mark.parametrize("path", list(paths()))
def test_head_is_answered_as_get_is_but_without_a_body(
    service: Service, kept: str, path: str
) -> None:
    target = path.replace("{kept}", kept)
    headers = {"Host": "localhost"}
    get = send_raw(service.port, "GET", target, headers)
    head = send_raw(service.port, "HEAD", target, headers)
    assert head.status == get.status
    assert head.text == ""
    for name in VARYING:
        get.headers.pop(name, None)
        head.headers.pop(name, None)
    for found in (get.headers, head.headers):  # the length of a problem is that of its request id
        found.pop("ratelimit", None)
    assert head.headers == get.headers


@pytest.mark.seen("C5")
def test_a_connection_goes_on_after_head(client: httpx2.Client, kept: str) -> None:
    for path in ("/health/live", "/v1/history/head-ana/export", f"/v1/history/head-ana/{kept}"):
        assert client.head(path).status_code == 200
        assert client.get("/health/live").json() == {"status": "live"}
    assert client.head("/metrics").headers["Content-Type"].startswith("text/plain")


@pytest.mark.seen("C5")
def test_what_a_resource_takes_names_head_where_it_takes_get(
    client: httpx2.Client, kept: str
) -> None:
    for path, allowed in (
        ("/v1/models", "GET, HEAD"),
        ("/v1/history/head-ana", "DELETE, GET, HEAD"),
        (f"/v1/history/head-ana/{kept}", "DELETE, GET, HEAD"),
        ("/health/live", "GET, HEAD"),
        ("/", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/v1/chat", "POST"),
        ("/v1/chat/completions", "POST"),
    ):
        response = client.request("PATCH", path)
        assert (response.status_code, response.headers["Allow"]) == (405, allowed), path
    for path in ("/v1/chat", "/v1/chat/completions"):
        response = client.head(path)
        assert (response.status_code, response.headers["Allow"], response.text) == (405, "POST", "")


@pytest.mark.seen("C5")
def test_head_needs_the_credentials_that_get_needs(guarded: Guarded) -> None:
    with guarded.client() as client:
        assert client.head("/v1/models").status_code == 401
        assert client.head("/v1/history/ana").status_code == 401
        assert client.head("/health/ready").status_code == 200
    with guarded.client(guarded.ana_key) as client:
        assert client.head("/v1/history/ana").status_code == 200
        assert client.head("/v1/history/bob").status_code == 403
        assert client.head("/v1/history/bob/export", headers=bearer(guarded.ana_key)).text == ""


@pytest.mark.seen("C5")
def test_the_log_names_the_method_and_the_route(service: Service, client: httpx2.Client) -> None:
    answer = client.head("/v1/history/head-ana", headers={"X-Request-Id": "head-in-the-log"})
    assert answer.headers["X-Request-Id"] == "head-in-the-log"
    (line,) = service.lines_with("head-in-the-log")
    assert '"method":"HEAD"' in line.replace(" ", "")
    assert "/v1/history/{userId}" in line
