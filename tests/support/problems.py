"""Checks of problem documents, and bodies that cause them."""

from collections.abc import Callable

import httpx2

from domain.entities.interaction import Status

MEMBERS = {"type", "title", "status", "detail", "instance", "requestId", "retryable"}


CANARY = "canary-that-must-not-echo"


def is_problem(response: httpx2.Response, status: int, slug: str) -> dict[str, object]:
    """Check that `response` is this problem, whole, and without what was sent."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert set(body) >= MEMBERS
    assert (body["type"], body["status"]) == (f"/problems/{slug}", status)
    assert body["requestId"] == response.headers["X-Request-Id"]
    assert body["instance"] == f"urn:uuid:{body['requestId']}"
    assert CANARY not in response.text
    return body


def kept(client: httpx2.Client, user: str) -> list[dict[str, object]]:
    response = client.get(
        f"/v1/history/{user}", params={"status": [status.value for status in Status]}
    )
    return list(response.json()["history"])


def a_body(user: str, **extra: str) -> bytes:
    fields = {"userId": f'"{user}"', "userPrompt": f'"{CANARY}"', **extra}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


MALFORMED: dict[str, Callable[[str], bytes]] = {
    "empty": lambda user: b"",
    "broken": lambda user: a_body(user)[:-1],
    "trailing": lambda user: a_body(user) + b"x",
    "NaN": lambda user: a_body(user, temperature="NaN"),
    "infinity": lambda user: a_body(user, temperature="-Infinity"),
    "bad UTF-8": lambda user: a_body(user).replace(b"canary", b"\xff\xfe"),
    "UTF-16": lambda user: a_body(user).decode().encode("utf-16"),
    "BOM": lambda user: b"\xef\xbb\xbf" + a_body(user),
    "lone surrogate": lambda user: a_body(user, systemPrompt='"\\ud800"'),
    "lone surrogate in a key": lambda user: a_body(user, **{"\\udfff": "1"}),
    "lone surrogate in a wrong type": lambda user: a_body(user, temperature='["\\udfff"]'),
    "an integer of 5000 digits": lambda user: a_body(user, maxOutputTokens="9" * 5000),
    "duplicate key": lambda user: a_body(user)[:-1] + b',"userPrompt":"other"}',
    "duplicate key inside": lambda user: a_body(user, metadata='{"a":1,"a":2}'),
    "depth 65": lambda user: a_body(user, metadata="[" * 64 + "]" * 64),
    "depth 1000": lambda user: a_body(user, metadata="[" * 1000 + "]" * 1000),
    "depth 100000": lambda user: b"[" * 100_000,
    "raw control character": lambda user: a_body(user).replace(b"canary", b"can\x00ary"),
}
