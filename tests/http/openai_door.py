"""How tests speak to POST /v1/chat/completions, and what every error of it has."""

from typing import Any

import httpx2

QUESTION = {"role": "user", "content": "How are you?"}


def complete(client: httpx2.Client, user: str, /, **body: object) -> httpx2.Response:
    return client.post("/v1/chat/completions", json={"messages": [QUESTION], "user": user, **body})


def newest(client: httpx2.Client, user: str) -> dict[str, Any]:
    """The user's newest interaction, whatever its status."""
    statuses = ["completed", "truncated", "blocked", "client_cancelled", "failed"]
    page = client.get(f"/v1/history/{user}", params={"status": statuses, "limit": 1}).json()
    return dict(page["history"][0])


def events(response: httpx2.Response) -> list[str]:
    """The data of each event; nothing but data events is in the stream."""
    assert response.text.endswith("\n\n")
    lines = response.text.removesuffix("\n\n").split("\n\n")
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return [line.removeprefix("data: ") for line in lines]


def is_error(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check that it is an error in OpenAI's format and no other, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-should-retry"] in ("true", "false")
    (body,) = response.json().items()
    assert body[0] == "error"
    error: dict[str, Any] = body[1]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["code"] == code
    assert isinstance(error["message"], str)
    return error
