"""What a key or a user may send: so much in a while, so much at once, so many tokens in a day."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from infra.selftest.exchange import Exchange
from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.http.access import bearer, make_key
from tests.support.problems import is_problem
from tests.support.service import Service, running_service

BODY = {"userId": "ana", "userPrompt": "How are you?"}


@contextmanager
def limited(
    data_dir: Path, settings: dict[str, str], **limits: str
) -> Iterator[tuple[Service, list[httpx2.Client]]]:
    """A service with limits, and clients with a key each."""
    made = [make_key(data_dir)[1] for _ in range(2)]
    with running_service(data_dir, {**settings, "AUTHENTICATION": "api_keys", **limits}) as service:
        clients = [service.client(headers=bearer(key)) for key in made]
        try:
            yield service, clients
        finally:
            for client in clients:
                client.close()


def test_more_requests_than_a_minute_holds_are_refused(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    with limited(data_dir, settings, CALLER_REQUESTS_PER_MINUTE="3") as (_, (one, other)):
        answers = [one.post("/v1/chat", json=BODY) for _ in range(2)]
        answers.append(one.get("/v1/history/ana"))
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"requests";q=3;w=60'}
        left = [
            re.fullmatch(r'"requests";r=(\d+);t=(\d+)', a.headers["RateLimit"]) for a in answers
        ]
        assert [match[1] for match in left if match] == ["2", "1", "0"]
        asked = len(provider.calls)
        response = one.post("/v1/chat", json=BODY)
        problem = is_problem(response, 429, "rate-limited")
        assert problem["retryable"] is True
        assert 1 <= int(response.headers["Retry-After"]) <= 20
        assert (
            response.headers["RateLimit"] == f'"requests";r=0;t={response.headers["Retry-After"]}'
        )
        assert len(provider.calls) == asked
        openai = one.post("/v1/chat/completions", json={"messages": []})
        assert openai.status_code == 429
        assert openai.headers["x-should-retry"] == "true"
        assert openai.json()["error"]["code"] == "rate_limited"
        for path in ("/health/live", "/metrics", "/openapi.json"):
            assert one.get(path).status_code == 200
        counted = 'http_route="unmatched",limit="requests",problem="rate-limited"} 2.0'
        assert counted in one.get("/metrics").text
        assert other.post("/v1/chat", json=BODY).status_code == 200


def test_refusals_are_counted_like_answers(settings: dict[str, str], data_dir: Path) -> None:
    with limited(data_dir, settings, CALLER_REQUESTS_PER_MINUTE="3") as (_, (one, _other)):
        statuses = [one.post("/v1/chat", json={}).status_code for _ in range(4)]
        assert statuses == [422, 422, 422, 429]


def test_more_at_once_than_allowed_are_refused(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    go_on = threading.Event()

    async def waiting(exchange: Exchange) -> None:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        await FAULTS["healthy"](exchange)

    provider.override["healthy"] = waiting
    try:
        with (
            limited(data_dir, settings, CALLER_CONCURRENT_REQUESTS="2") as (service, (one, other)),
            ThreadPoolExecutor(4) as pool,
        ):
            calls = len(provider.calls)
            streamed = {**BODY, "stream": True}
            busy = [pool.submit(one.post, "/v1/chat", json=body) for body in (BODY, streamed)]
            until(lambda: len(provider.calls) == calls + 2)
            response = one.get("/v1/models")
            is_problem_of_openai(response)
            assert response.headers["Retry-After"] == "1"
            assert other.get("/v1/models").status_code == 200
            go_on.set()
            assert [one_.result(120).status_code for one_ in busy] == [200, 200]
            assert one.get("/v1/models").status_code == 200
            assert service.process.poll() is None
    finally:
        del provider.override["healthy"]


def is_problem_of_openai(response: httpx2.Response) -> None:
    assert response.status_code == 429
    assert response.json()["error"]["type"] == "rate_limit_error"


def until(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


SPENT = 12
"""What the provider counts for one answer."""


def test_calls_at_the_same_time_never_spend_more_than_a_days_tokens(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    budget = 60
    calls = len(provider.calls)
    with (
        limited(data_dir, settings, CALLER_DAILY_TOKENS=str(budget)) as (_, (one, other)),
        ThreadPoolExecutor(20) as pool,
    ):
        body = {**BODY, "maxOutputTokens": 20}
        messages = [{"role": "user", "content": BODY["userPrompt"]}]
        openai = {"messages": messages, "user": BODY["userId"], "max_completion_tokens": 20}
        asked = [
            (door, {**sent, "stream": streamed})
            for door, sent in (("/v1/chat", body), ("/v1/chat/completions", openai))
            for streamed in (False, True)
        ]
        answers = list(pool.map(lambda case: one.post(case[0], json=case[1]), asked * 10))
        spent = SPENT * sum(answer.status_code == 200 for answer in answers)
        assert {answer.status_code for answer in answers} == {200, 429}
        while (answer := one.post("/v1/chat", json=body)).status_code == 200:
            spent += SPENT
        assert spent <= budget
        assert spent > budget - 2 * SPENT
        is_problem(answer, 429, "rate-limited")
        assert int(answer.headers["Retry-After"]) > 1  # tomorrow
        assert other.post("/v1/chat", json=body).status_code == 200
        allowed = [
            call.body["generationConfig"]["maxOutputTokens"] for call in provider.calls[calls:-1]
        ]
        assert max(allowed) == 20
        assert min(allowed) < 20  # the last one was told to be brief


LONG = "How are you? " * 300  # 3 900 bytes: 1 300 tokens
TWICE = "2700"
"""A day's tokens that such a prompt fits into twice, and not a third time."""


@pytest.mark.seen("D9")
@pytest.mark.parametrize("model", ["gem-rejected", "alt-rejected", "gem-malformed-json"])
def test_what_was_sent_and_failed_without_a_word_costs_what_was_sent(
    settings: dict[str, str], data_dir: Path, model: str
) -> None:
    with limited(data_dir, settings, CALLER_DAILY_TOKENS=TWICE) as (_, (one, other)):
        failing = {**BODY, "userPrompt": LONG, "model": model}
        statuses = [one.post("/v1/chat", json=failing).status_code for _ in range(3)]
        assert statuses in ([422, 422, 429], [502, 502, 429])
        assert other.post("/v1/chat", json=BODY).status_code == 200


@pytest.mark.slow
@pytest.mark.seen("D9")
@pytest.mark.parametrize("model", ["gem-silent", "alt-silent"])
@pytest.mark.parametrize("door", ["/v1/chat", "/v1/chat/completions"])
def test_who_hangs_up_before_the_first_word_pays_what_was_sent(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider, door: str, model: str
) -> None:
    native = {**BODY, "userPrompt": LONG}
    openai = {"messages": [{"role": "user", "content": LONG}], "user": BODY["userId"]}
    body = {**(native if door == "/v1/chat" else openai), "model": model, "stream": True}
    with limited(data_dir, settings, CALLER_DAILY_TOKENS=TWICE) as (_, (one, _other)):
        for _ in range(2):
            calls = len(provider.calls)
            with pytest.raises(httpx2.ReadTimeout):
                one.post(door, json=body, timeout=httpx2.Timeout(10.0, read=0.3))
            until(lambda calls=calls: len(provider.calls) == calls + 1)
            until(lambda: provider.under_way() == 0)
        refused = one.post("/v1/chat", json=native)
        is_problem(refused, 429, "rate-limited")
        assert int(refused.headers["Retry-After"]) > 1  # tomorrow
        assert one.post("/v1/chat", json={**BODY, "maxOutputTokens": 50}).status_code == 200


@pytest.mark.parametrize(
    "name", ["CALLER_REQUESTS_PER_MINUTE", "CALLER_CONCURRENT_REQUESTS", "CALLER_DAILY_TOKENS"]
)
def test_a_limit_of_nothing_is_no_setting(
    settings: dict[str, str], data_dir: Path, name: str
) -> None:
    with (
        pytest.raises(RuntimeError, match="exit 78"),
        running_service(data_dir, {**settings, name: "0"}),
    ):
        pass
