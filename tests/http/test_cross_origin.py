"""Pages of other origins that ask a service on a private network, such as the reader's own machine."""

import httpx2
import pytest

from tests.fakes.application import ApplicationUnderTest

ORIGIN = "https://app.example"


async def preflight(
    origin: str, *, private: bool = True, method: str = "POST", allowed: tuple[str, ...] = (ORIGIN,)
) -> httpx2.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
        **({"Access-Control-Request-Private-Network": "true"} if private else {}),
    }
    async with ApplicationUnderTest(cors_origins=allowed).client() as client:
        return await client.options("/v1/chat/completions", headers=headers)


@pytest.mark.seen("C9")
@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "PATCH", "DELETE"])
async def test_a_page_of_an_allowed_origin_may_ask_a_private_network(method: str) -> None:
    answer = await preflight(ORIGIN, method=method)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    plain = await preflight(ORIGIN, private=False, method=method)
    assert plain.status_code == 200
    assert "Access-Control-Allow-Private-Network" not in plain.headers


@pytest.mark.seen("C9")
@pytest.mark.parametrize(
    ("origin", "allowed", "method"),
    [
        ("https://evil.example", (ORIGIN,), "POST"),
        ("https://app.example.evil.example", (ORIGIN,), "POST"),
        ("null", (ORIGIN,), "POST"),
        (ORIGIN, (ORIGIN,), "PUT"),
        (ORIGIN, (), "POST"),
    ],
)
async def test_no_other_preflight_is_told_so(
    origin: str, allowed: tuple[str, ...], method: str
) -> None:
    answer = await preflight(origin, allowed=allowed, method=method)
    assert answer.status_code >= 400
    assert "Access-Control-Allow-Private-Network" not in answer.headers


async def test_a_page_of_an_allowed_origin_reads_where_its_background_answer_is() -> None:
    body = {"userId": "ana", "userPrompt": "hi", "background": True}
    async with ApplicationUnderTest(cors_origins=(ORIGIN,)).client() as client:
        answer = await client.post("/v1/chat", json=body, headers={"Origin": ORIGIN})
    assert answer.headers["Location"]
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Location", "X-Interaction-Id"} <= set(exposed)
