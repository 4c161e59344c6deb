"""POST /v1/embeddings: its form, its refusals and limits, and what it leaves behind."""

import base64
import json
import logging
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from app.middleware.access_gate import GateRules
from domain.entities.caller import Caller, Scope
from domain.entities.interaction import Attempt
from domain.entities.model import Model
from domain.entities.reply import FinishReason, ProviderSelected, Reply, Usage
from domain.entities.tools import Capability
from domain.exceptions import (
    ContentBlocked,
    ContextTooLong,
    DomainError,
    LLMMisconfigured,
    LLMRejected,
    LLMTimeout,
    LLMUnavailable,
    NoRoute,
    Overloaded,
    UnsupportedInput,
)
from domain.interfaces.credentials import Authenticator
from tests.fakes.application import ApplicationUnderTest, SeveralModels
from tests.fakes.embeddings import vector_for
from tests.http.openai_door import is_error
from tests.support.service import Service, running_service

CHAT = Model(id="chat", owned_by="p", context_tokens=100, max_output_tokens=10)
EMBED = Model(id="embed", owned_by="p", capabilities=frozenset({Capability.EMBEDDINGS}))
TEXT = "canary-of-an-input-7f3a"
CALLER = Caller(principal="key:1", scopes=frozenset(Scope), rate_limit_key="key:1")
HI = (ProviderSelected(provider="p", model="chat"), "hi", Reply(finish_reason=FinishReason.STOP))


class OneCaller(Authenticator):
    """Takes everybody for one caller."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def known_caller(self, credentials: bytes | None) -> Caller | None:
        return self.caller

    async def authenticate(self, credentials: bytes | None) -> Caller:
        return self.caller


def an_application(*errors: BaseException, **options: Any) -> ApplicationUnderTest:
    application = ApplicationUnderTest(*HI, catalogue=SeveralModels(CHAT, EMBED), **options)
    application.embeddings.errors.extend(errors)
    return application


def guarded(caller: Caller, **settings: Any) -> ApplicationUnderTest:
    rules = GateRules.with_authentication(allowed_hosts=())
    return an_application(rules=rules, authenticator=OneCaller(caller), settings=settings)


async def ask(application: ApplicationUnderTest, **body: Any) -> httpx2.Response:
    async with application.client() as client:
        return await client.post("/v1/embeddings", json={"model": "embed", "input": "Why?", **body})


async def test_the_answer_has_openais_form() -> None:
    response = await ask(an_application(), input=["Why?", "How?"], user="ana")
    assert response.status_code == 200
    assert "x-interaction-id" not in response.headers
    assert response.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": vector_for("Why?")},
            {"object": "embedding", "index": 1, "embedding": vector_for("How?")},
        ],
        "model": "embed",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }


async def test_base64_holds_little_endian_numbers_of_32_bits() -> None:
    application = an_application()
    response = await ask(application, encoding_format="base64")
    packed = base64.b64decode(response.json()["data"][0]["embedding"])
    assert list(struct.unpack("<4f", packed)) == pytest.approx(vector_for("Why?"))
    assert application.embeddings.asked[0].takes_single_precision


@pytest.mark.parametrize(
    ("sent", "inputs"),
    [
        ("Why?", ("Why?",)),
        (["Why?"], ("Why?",)),
        ([7, 8], ((7, 8),)),
        ([[7, 8], [9]], ((7, 8), (9,))),
        ([7.0, 8], ((7, 8),)),
        (["x"] * 2048, ("x",) * 2048),
        (list(range(3000)), (tuple(range(3000)),)),
    ],
)
async def test_every_form_of_input_is_taken(sent: object, inputs: tuple[object, ...]) -> None:
    application = an_application()
    response = await ask(application, input=sent, dimensions=5, encoding_format=None, extra=1)
    assert response.status_code == 200
    (asked,) = application.embeddings.asked
    assert (asked.inputs, asked.dimensions) == (inputs, 5)


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": 7}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a", 7]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": [2**31]}, "input"),
        ({"input": [[1], []]}, "input"),
        ({"input": [[1.5]]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": "x" * (1024 * 1024 + 1)}, "input"),
        ({"input": ["x" * 1024 * 1024] * 9}, "input"),
        ({"model": None}, "model"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 8193}, "dimensions"),
        ({"dimensions": 1.5}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"user": 7}, "user"),
    ],
)
async def test_what_is_wrong_is_named(changed: dict[str, Any], param: str) -> None:
    application = an_application()
    response = await ask(application, **changed)
    assert is_error(response, 422, "invalid_request")["param"] == param
    assert application.embeddings.asked == []


async def test_a_model_must_be_named() -> None:
    async with an_application().client() as client:
        response = await client.post("/v1/embeddings", json={"input": "Why?"})
    assert is_error(response, 422, "invalid_request")["param"] == "model"


async def test_a_model_that_chats_computes_no_embeddings_and_the_other_way_round() -> None:
    application = an_application()
    response = await ask(application, model="chat")
    error = is_error(response, 422, "unsupported_by_model")
    assert error["param"] == "model"
    assert "does not support embeddings; models that do: embed" in error["message"]
    async with application.client() as client:
        for path, body in (
            ("/v1/chat", {"userId": "ana", "userPrompt": "hi", "model": "embed"}),
            (
                "/v1/chat/completions",
                {"messages": [{"role": "user", "content": "hi"}], "model": "embed"},
            ),
        ):
            refused = await client.post(path, json=body)
            assert refused.status_code == 422
            assert "does not support chat; models that do: chat" in refused.text
    assert application.embeddings.asked == []
    assert application.llm.asked == []


async def test_an_unknown_model_is_a_404_that_names_the_known_ones() -> None:
    response = await ask(an_application(), model="gpt-2")
    assert "embed" in is_error(response, 404, "model_not_found")["message"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (
            UnsupportedInput("input", "lists of tokens, for this model"),
            400,
            "unsupported_parameter",
        ),
        (ContextTooLong(), 400, "context_length_exceeded"),
        (ContentBlocked(), 400, "content_filter"),
        (LLMRejected(), 422, "provider_rejected"),
        (LLMUnavailable(), 502, "providers_failed"),
        (NoRoute(retry_after_seconds=7.0), 503, "providers_unavailable"),
        (LLMMisconfigured(), 503, "provider_misconfigured"),
        (Overloaded(), 503, "overloaded"),
        (LLMTimeout(), 504, "provider_timeout"),
    ],
)
async def test_errors_have_openais_form(error: DomainError, status: int, code: str) -> None:
    response = await ask(an_application(error))
    is_error(response, status, code)
    assert "x-interaction-id" not in response.headers
    if isinstance(error, NoRoute):
        assert response.headers["Retry-After"] == "7"


async def test_a_caller_needs_the_permission_to_chat() -> None:
    reader = replace(CALLER, scopes=frozenset({Scope.HISTORY_READ}))
    is_error(await ask(guarded(reader)), 403, "forbidden")


async def test_a_caller_bound_to_a_user_asks_for_that_user_whatever_is_named() -> None:
    application = guarded(replace(CALLER, user_id="ana"))
    assert (await ask(application, user="bob")).status_code == 200


async def test_a_shorter_time_limit_is_the_callers() -> None:
    application = an_application()
    limits: list[float] = []
    compute = application.embeddings.embed

    async def noting(request: Any, context: Any) -> Any:
        limits.append(context.answer_deadline.at_seconds - context.started_seconds)
        return await compute(request, context)

    application.embeddings.embed = noting  # type: ignore[method-assign]
    async with application.client() as client:
        body = {"model": "embed", "input": "Why?"}
        await client.post("/v1/embeddings", json=body, headers={"X-Request-Timeout-Ms": "5000"})
        await client.post("/v1/embeddings", json=body)
    assert limits == [5.0, 60.0]


async def test_too_many_at_once_are_refused() -> None:
    application = guarded(CALLER, max_concurrent_chats=1)
    async with application.client() as client:
        application.container.embeddings.in_flight = 1
        body = {"model": "embed", "input": "Why?"}
        is_error(await client.post("/v1/embeddings", json=body), 503, "overloaded")
        application.container.embeddings.in_flight = 0
        assert (await client.post("/v1/embeddings", json=body)).status_code == 200
        assert application.container.embeddings.in_flight == 0


async def test_the_requests_of_a_minute_are_limited() -> None:
    application = guarded(CALLER, caller_requests_per_minute=1)
    async with application.client() as client:
        body = {"model": "embed", "input": "Why?"}
        assert (await client.post("/v1/embeddings", json=body)).status_code == 200
        is_error(await client.post("/v1/embeddings", json=body), 429, "rate_limited")


@asynccontextmanager
async def spending(
    tokens: int, *usages: Usage | None
) -> AsyncIterator[tuple[ApplicationUnderTest, httpx2.AsyncClient]]:
    """An application with a daily budget, whose provider reports these usages, one a call."""
    application = guarded(CALLER, caller_daily_tokens=tokens)
    reported = list(usages)
    compute = application.embeddings.embed

    async def using(request: Any, context: Any) -> Any:
        context.is_sent = True
        usage = reported.pop(0)
        context.attempts.append(
            Attempt(provider="p", model="embed", outcome="ok", seconds=1.0, usage=usage)
        )
        return await compute(request, context)

    application.embeddings.embed = using  # type: ignore[method-assign]
    async with application.client() as client:
        yield application, client


async def test_the_tokens_of_a_day_are_those_that_providers_report() -> None:
    used = Usage(input_tokens=90, total_tokens=90)
    async with spending(100, used, used) as (_, client):
        ten_tokens = {"model": "embed", "input": "x" * 30}
        assert (await client.post("/v1/embeddings", json=ten_tokens)).status_code == 200
        assert (await client.post("/v1/embeddings", json=ten_tokens)).status_code == 200
        is_error(await client.post("/v1/embeddings", json=ten_tokens), 429, "rate_limited")


@pytest.mark.parametrize("sent", ["x" * 120, [7] * 40, ["x" * 60] * 2])
async def test_without_a_report_the_tokens_are_estimated(sent: object) -> None:
    async with spending(100, None, None) as (_, client):
        forty_tokens = {"model": "embed", "input": sent}
        assert (await client.post("/v1/embeddings", json=forty_tokens)).status_code == 200
        assert (await client.post("/v1/embeddings", json=forty_tokens)).status_code == 200
        is_error(await client.post("/v1/embeddings", json=forty_tokens), 429, "rate_limited")


async def test_what_was_never_sent_costs_no_tokens() -> None:
    application = guarded(CALLER, caller_daily_tokens=50)
    application.embeddings.errors.extend([NoRoute(), NoRoute()])
    async with application.client() as client:
        body = {"model": "embed", "input": "x" * 120}
        statuses = [(await client.post("/v1/embeddings", json=body)).status_code for _ in range(3)]
    assert statuses == [503, 503, 200]


async def test_nothing_is_kept_and_nothing_of_the_input_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = an_application(LLMUnavailable())
    with caplog.at_level(logging.DEBUG):
        assert (await ask(application, input=TEXT, user="ana")).status_code == 502
        assert (await ask(application, input=TEXT, user="ana")).status_code == 200
    assert application.history.kept == {}
    written = [(record.getMessage(), getattr(record, "ecs", {})) for record in caplog.records]
    assert TEXT not in str(written)
    failed, answered = [fields for message, fields in written if message == "embeddings completed"]
    assert failed["error"] == {"code": "providers-failed"}
    assert answered["event"]["action"] == "llm.embeddings"
    assert answered["url"] == {"path": "/v1/embeddings"}
    assert answered["gen_ai"]["request"] == {"model": "embed"}
    assert "interaction_id" not in answered["rt"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("embeddings") / "data") as service:
        yield service


@pytest.mark.slow
def test_the_examples_of_the_description_work_with_the_demo(demo: Service) -> None:
    with demo.client() as client:
        described = client.get("/openapi.json").json()["paths"]["/v1/embeddings"]["post"]
        examples = described["requestBody"]["content"]["application/json"]["examples"]
        for example in examples.values():
            response = client.post("/v1/embeddings", json=example["value"])
            assert response.status_code == 200, response.text
        models = {
            each["id"]: each["capabilities"] for each in client.get("/v1/models").json()["data"]
        }
    assert len(examples) == 2
    assert models["demo-embeddings"] == ["embeddings"]
    assert "embeddings" not in models["demo"]


def test_the_log_line_and_the_metrics_of_the_demo(demo: Service) -> None:
    with demo.client() as client:
        body = {"model": "demo-embeddings", "input": TEXT, "user": "ana"}
        assert client.post("/v1/embeddings", json=body).status_code == 200
        assert client.post("/v1/embeddings", json={**body, "input": [1, 2]}).status_code == 200
        metrics = client.get("/metrics").text
        assert client.get("/v1/history/ana").json()["history"] == []
    lines = [json.loads(line) for line in demo.lines_with('"llm.embeddings"')]
    last = next(line for line in lines if line["http"]["response"]["status_code"] == 200)
    assert last["rt"]["attempts_detail"][0]["model"] == "demo-embeddings"
    assert last["gen_ai"]["response"] == {"model": "demo-embeddings"}
    assert TEXT not in "".join(demo.log)
    assert (
        'gen_ai_client_operation_duration_seconds_count{error_type="",'
        'gen_ai_operation_name="embeddings"'
    ) in metrics
