"""A plain chat goes past the framework; nobody may notice."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from domain.entities.reply import FinishReason, ProviderSelected, Reply
from tests.fakes.application import Whole

ANSWER = (
    ProviderSelected(provider="p", model="m"),
    "a",
    "b",
    Reply(finish_reason=FinishReason.STOP),
)

PLAIN = {"content-type": "application/json"}
# The same to HTTP, but spelled so that the framework takes it.
LONG_WAY = {"content-type": 'Application/JSON; charset="utf-8"'}
NATIVE, OPENAI = "/v1/chat", "/v1/chat/completions"

BODIES: dict[str, tuple[str, str]] = {
    "plain": (NATIVE, '{"userId":"ana","userPrompt":"hi"}'),
    "streamed": (NATIVE, '{"userId":"ana","userPrompt":"hi","stream":true}'),
    "openai": (OPENAI, '{"messages":[{"role":"user","content":"hi"}]}'),
    "openai streamed": (OPENAI, '{"messages":[{"role":"user","content":"hi"}],"stream":true}'),
    "unknown field": (NATIVE, '{"userId":"ana","userPrompt":"hi","extra":1}'),
    "missing field": (NATIVE, '{"userId":"ana"}'),
    "wrong type": (NATIVE, '{"userId":"ana","userPrompt":"hi","temperature":"1"}'),
    "repeated key": (NATIVE, '{"userId":"ana","userPrompt":"hi","userPrompt":"hi"}'),
    "no object": (NATIVE, "[]"),
    "no JSON": (NATIVE, "{"),
    "empty": (NATIVE, ""),
    "too large": (NATIVE, '{"userId":"ana","userPrompt":"' + "x" * 300_000 + '"}'),
    "nobody named": (NATIVE, '{"userPrompt":"hi"}'),
    "unknown model": (NATIVE, '{"userId":"ana","userPrompt":"hi","model":"no"}'),
    "openai unknown model": (OPENAI, '{"messages":[{"role":"user","content":"hi"}],"model":"no"}'),
    "openai wrong": (OPENAI, '{"messages":[]}'),
}
# What no two requests have in common.
OWN = ("id", "timestamp", "requestId", "instance", "created", "llmResponseSeconds")
MEASURED = ("timeToFirstTokenSeconds", "attempts")


async def told(whole: Whole, path: str, body: str, headers: dict[str, str]) -> tuple[Any, ...]:
    async with whole.client() as client:
        response = await client.post(path, content=body, headers=headers)
    return response.status_code, sorted(response.headers.keys()), _same(response)


def _same(response: httpx2.Response) -> object:
    if response.headers["content-type"].startswith("text/event-stream"):
        return [line.partition(":")[0] for line in response.text.splitlines()]
    document = response.json()
    for name in (*OWN, *MEASURED):
        document.pop(name, None)
    return document


@pytest.mark.parametrize(("path", "body"), BODIES.values(), ids=BODIES.keys())
async def test_both_ways_end_alike(path: str, body: str) -> None:
    short = await told(Whole(*ANSWER), path, body, PLAIN)
    long = await told(Whole(*ANSWER), path, body, LONG_WAY)
    assert short == long


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Request-Timeout-Ms": "1"}, 422),
        ({"X-Request-Timeout-Ms": "5000"}, 200),
        ({"Idempotency-Key": "a b"}, 422),
        ({"Idempotency-Key": "a"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        # Of two, the framework goes by the first.
        ({"Content-Type": "text/plain"}, 200),
    ],
)
async def test_what_headers_say_is_heard(headers: dict[str, str], expected: int) -> None:
    path, body = BODIES["plain"]
    status, _, _ = await told(Whole(*ANSWER), path, body, PLAIN | headers)
    assert status == expected


async def test_a_query_is_still_refused() -> None:
    path, body = BODIES["plain"]
    status, _, _ = await told(Whole(*ANSWER), f"{path}?a=b", body, PLAIN)
    assert status == 422


async def test_another_method_is_still_refused() -> None:
    async with Whole(*ANSWER).client() as client:
        response = await client.put(NATIVE, content="{}", headers=PLAIN)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("name", "goes_past"), [("plain", True), ("openai", True), ("unknown field", False)]
)
async def test_only_what_is_plain_goes_past_the_framework(
    name: str, goes_past: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Spied(FastAPI):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            asked.append(scope["type"])
            await super().__call__(scope, receive, send)

    monkeypatch.setattr("app.application.FastAPI", Spied)
    path, body = BODIES[name]
    await told(Whole(*ANSWER), path, body, PLAIN)
    assert ("http" not in asked) is goes_past
