"""The route class of both chat operations: what it refuses of a request, and how."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.application import Limits
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from tests.fakes.application import ApplicationUnderTest

ANSWER = (
    ProviderSelected(provider="p", model="m"),
    "a",
    "b",
    Reply(finish_reason=FinishReason.STOP),
)

JSON = {"content-type": "application/json"}
NATIVE, OPENAI = "/v1/chat", "/v1/chat/completions"
NATIVE_BODY = '{"userId":"ana","userPrompt":"hi"}'
OPENAI_BODY = '{"messages":[{"role":"user","content":"hi"}]}'


async def post(path: str, body: str, headers: dict[str, str] = JSON) -> httpx2.Response:
    async with ApplicationUnderTest(*ANSWER).client() as client:
        return await client.post(path, content=body, headers=headers)


def problem_of(response: httpx2.Response) -> tuple[int, str, list[tuple[str, str]]]:
    problem = response.json()
    errors = [(error["pointer"], error["message"]) for error in problem.get("errors", ())]
    return response.status_code, problem["type"].removeprefix("/problems/"), errors


@pytest.mark.parametrize(
    ("path", "body", "media_type"),
    [
        (NATIVE, NATIVE_BODY, "application/json"),
        (NATIVE, '{"userId":"ana","userPrompt":"hi","stream":true}', "text/event-stream"),
        (OPENAI, OPENAI_BODY, "application/json"),
        (OPENAI, f'{OPENAI_BODY[:-1]},"stream":true}}', "text/event-stream"),
    ],
)
async def test_a_valid_body_is_answered(path: str, body: str, media_type: str) -> None:
    response = await post(path, body)
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", (400, "malformed-body", [])),
        ("{", (400, "malformed-body", [])),
        (
            '{"userId":"ana","userPrompt":"hi","userPrompt":"hi"}',
            (400, "malformed-body", []),
        ),
        ('{"userId":"ana"}', (422, "invalid-request", [("/userPrompt", "Field required")])),
        (
            '{"userPrompt":"hi","extra":1}',
            (422, "invalid-request", [("/extra", "unknown; not taken here")]),
        ),
        (
            '{"userPrompt":"hi","temperature":"1"}',
            (422, "invalid-request", [("/temperature", "Input should be a valid number")]),
        ),
        *(
            (
                body,
                (
                    422,
                    "invalid-request",
                    [
                        (
                            "/",
                            "Input should be a valid dictionary or object to extract fields from",
                        )
                    ],
                ),
            )
            for body in ("[]", "null", '"text"')
        ),
        ('{"userPrompt":"hi"}', (422, "invalid-request", [("/userId", "Field required")])),
    ],
)
async def test_a_body_that_is_not_valid_is_a_problem(
    body: str, expected: tuple[int, str, list[tuple[str, str]]]
) -> None:
    assert problem_of(await post(NATIVE, body)) == expected


@pytest.mark.parametrize(("limit_bytes", "expected"), [(34, 200), (33, 413)])
async def test_a_body_may_have_as_many_bytes_as_the_limit(limit_bytes: int, expected: int) -> None:
    application = ApplicationUnderTest(*ANSWER, limits=Limits(body_bytes=limit_bytes))
    async with application.client() as client:
        response = await client.post(NATIVE, content=NATIVE_BODY, headers=JSON)
    assert (len(NATIVE_BODY), response.status_code) == (34, expected)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"X-Request-Timeout-Ms": "1"}, 422),
        ({"X-Request-Timeout-Ms": "soon"}, 422),
        ({"X-Request-Timeout-Ms": "5000"}, 200),
        ({"Idempotency-Key": "a b"}, 422),
        ({"Idempotency-Key": ""}, 422),
        ({"Idempotency-Key": "a"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": 'Application/JSON; charset="utf-8"'}, 200),
        ({"content-encoding": "br"}, 415),
        # The first of two media types counts.
        ({"Content-Type": "text/plain"}, 200),
    ],
)
@pytest.mark.parametrize(("path", "body"), [(NATIVE, NATIVE_BODY), (OPENAI, OPENAI_BODY)])
async def test_headers_are_checked(
    path: str, body: str, headers: dict[str, str], expected: int
) -> None:
    response = await post(path, body, JSON | headers)
    assert response.status_code == expected


async def test_errors_of_headers_and_of_the_body_come_together() -> None:
    headers = {"X-Request-Timeout-Ms": "1", "Idempotency-Key": "a b"}
    status, _, errors = problem_of(await post(NATIVE, "{}", JSON | headers))
    assert status == 422
    assert [pointer for pointer, _ in errors] == [
        "header/X-Request-Timeout-Ms",
        "header/Idempotency-Key",
        "/userPrompt",
    ]


@pytest.mark.parametrize(
    ("path", "body", "expected"), [(NATIVE, NATIVE_BODY, 422), (OPENAI, OPENAI_BODY, 200)]
)
async def test_only_the_native_route_refuses_a_query(path: str, body: str, expected: int) -> None:
    response = await post(f"{path}?a=b", body)
    assert response.status_code == expected


@pytest.mark.parametrize("path", [NATIVE, OPENAI])
async def test_another_method_is_refused(path: str) -> None:
    async with ApplicationUnderTest(*ANSWER).client() as client:
        response = await client.put(path, content="{}", headers=JSON)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(("path", "body"), [(NATIVE, NATIVE_BODY), (NATIVE, "{"), (OPENAI, "{}")])
async def test_no_chat_goes_through_the_routing_of_fastapi(
    path: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = []

    class RecordingFastAPI(FastAPI):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            received.append(scope["type"])
            await super().__call__(scope, receive, send)

    monkeypatch.setattr("app.application.FastAPI", RecordingFastAPI)
    await post(path, body)
    assert received == ["lifespan"]
