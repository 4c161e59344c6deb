"""Headers that keep browsers and caches from doing more with an answer than they should."""

import json
import socket

import httpx2
import pytest

from tests.support.service import Service

CHAT = {"userPrompt": "hi"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/history/ana"),
        ("DELETE", "/v1/history/ana"),
        ("GET", "/v1/models"),
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/chat"),
    ],
)
def test_what_concerns_a_user_stays_in_no_cache(
    client: httpx2.Client, method: str, path: str
) -> None:
    response = client.request(method, path, json=CHAT if method == "POST" else None)
    assert response.headers.get_list("cache-control") == ["no-store"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_stream_says_itself_how_it_may_be_kept(client: httpx2.Client, user: str) -> None:
    response = client.post("/v1/chat", json={**CHAT, "userId": user, "stream": True})
    assert response.headers.get_list("cache-control") == ["no-cache, no-transform"]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/assets/swagger-ui.css", "/openapi.json", "/metrics"])  # fmt: skip
def test_nothing_is_taken_for_what_it_does_not_say_it_is(client: httpx2.Client, path: str) -> None:
    assert client.get(path).headers["x-content-type-options"] == "nosniff"


def test_the_servers_own_refusals_neither(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        head, _, body = raw.recv(65536).partition(b"\r\n\r\n")
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["status"] == 400
