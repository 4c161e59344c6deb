"""The `instance` of a problem is a URN, or is not there."""

import httpx2
import pytest

from tests.support.service import Service

UUIDS = ["0199a1b2-7c80-7000-8a51-0f1d2c3b4a59", "0199A1B2-7C80-4000-8A51-0F1D2C3B4A59"]
OTHERS = [
    "request-12345",
    "0199a1b27c8070008a510f1d2c3b4a59",
    "0199a1b2-7c80-7000-8a51-0f1d2c3b4a5",
    "0199a1b2-7c80-7000-8a510-f1d2c3b4a59",
    "g199a1b2-7c80-7000-8a51-0f1d2c3b4a59",
    "a" * 64,
]


@pytest.mark.seen("C10")
@pytest.mark.parametrize("request_id", UUIDS + OTHERS)
def test_a_problem_has_an_instance_where_the_request_id_is_a_uuid(
    client: httpx2.Client, request_id: str
) -> None:
    headers = {"X-Request-Id": request_id}
    for response in (
        client.post("/v1/chat", json={}, headers=headers),
        client.get("/no/such/route", headers=headers),
        client.get("/v1/history/ana?limit=0", headers=headers),
    ):
        problem = response.json()
        assert problem["requestId"] == request_id
        expected = f"urn:uuid:{request_id}" if request_id in UUIDS else None
        assert problem.get("instance") == expected
        assert ("instance" in problem) is (expected is not None)


@pytest.mark.seen("C10")
def test_the_problem_that_ends_a_stream_has_none_either(
    client: httpx2.Client, service: Service, user: str
) -> None:
    body = {"userId": user, "userPrompt": "hi", "model": "gem-mid-stream-error", "stream": True}
    headers = {"X-Request-Id": "request-of-a-stream"}
    response = client.post("/v1/chat", json=body, headers=headers)
    assert "request-of-a-stream" in response.text + str(response.headers)
    assert "urn:uuid" not in response.text
