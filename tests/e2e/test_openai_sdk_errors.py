"""What the official `openai` package raises, and when it asks again, against the real service."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletion

from infra.selftest.exchange import Exchange
from infra.selftest.provider import FaultProvider
from tests.e2e.openai_client import ASKING, Counted
from tests.support.service import Service, running_service


@pytest.fixture
def client(service: Service) -> Iterator[Counted]:
    with Counted(service.url) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("blocked", openai.BadRequestError, "content_filter"),
        ("context-too-long", openai.BadRequestError, "context_length_exceeded"),
        ("rejected", openai.UnprocessableEntityError, "provider_rejected"),
        ("nothing", openai.NotFoundError, "model_not_found"),
        ("empty", openai.InternalServerError, "providers_failed"),
    ],
)
def test_a_failure_before_the_first_word_is_an_exception_of_its_class(
    client: Counted,
    stream: bool,
    model: str,
    error: type[openai.APIStatusError],
    code: str,
) -> None:
    # A circuit opens where one model fails too often, so each way of asking has a model of its own.
    name = f"{'alt' if stream else 'gem'}-{model}"
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=name, messages=ASKING, stream=stream)
    assert raised.value.code == code
    assert raised.value.request_id == raised.value.response.headers["X-Request-Id"]
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["message"] in str(raised.value)


def test_a_wrong_value_names_its_field(client: Counted) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model="gem-healthy", messages=ASKING, temperature=3)
    assert (refused.value.param, refused.value.code) == ("temperature", "invalid_request")
    with pytest.raises(openai.BadRequestError) as unsupported:
        client.chat.completions.create(model="gem-healthy", messages=ASKING, n=2)
    assert (unsupported.value.param, unsupported.value.code) == ("n", "unsupported_parameter")


def test_a_client_that_is_not_let_in(service: Service) -> None:
    with (
        Counted(service.url, default_headers={"Host": "evil.example"}) as client,
        pytest.raises(openai.PermissionDeniedError) as refused,
    ):
        client.models.list()
    assert refused.value.type == "permission_error"


def test_a_stream_that_breaks_raises_after_its_text(client: Counted) -> None:
    heard = []
    with pytest.raises(openai.APIError) as broken:
        for chunk in client.chat.completions.create(
            model="gem-cut", messages=ASKING, stream=True, user="broken"
        ):
            heard.append(chunk.choices[0].delta.content)
    assert heard == ["", "All "]
    assert broken.value.code == "providers_failed"
    assert "No provider could answer." in str(broken.value)


def test_a_client_out_of_patience(service: Service) -> None:
    with (
        Counted(service.url, timeout=0.3) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(
            model="alt-silent", messages=ASKING, extra_headers={"X-Request-Timeout-Ms": "3000"}
        )


@pytest.mark.parametrize(
    ("model", "sent"), [("gem-empty", 2), ("gem-blocked", 1), ("gem-rejected", 1)]
)
def test_it_asks_again_only_where_that_may_help(service: Service, model: str, sent: int) -> None:
    with Counted(service.url, max_retries=1) as client:
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model=model, messages=ASKING)
        assert client.sent == sent


def test_a_key_that_is_not_valid(tmp_path: Path) -> None:
    settings = {"AUTHENTICATION": "api_keys"}
    with (
        running_service(tmp_path / "data", settings) as service,
        Counted(service.url, max_retries=1) as client,
    ):
        with pytest.raises(openai.AuthenticationError) as refused:
            client.chat.completions.create(model="demo", messages=ASKING)
        assert (refused.value.code, refused.value.type) == (
            "unauthenticated",
            "authentication_error",
        )
        assert client.sent == 1


def test_a_repeated_request_waits_for_the_first_and_gets_its_answer(
    service: Service, provider: FaultProvider
) -> None:
    may_answer = threading.Event()

    async def when_told(exchange: Exchange) -> None:
        while not may_answer.is_set():
            await asyncio.sleep(0.01)
        await exchange.answer("Once.")

    provider.override["no-done@safe"] = when_told
    asked_before = provider.count("no-done@safe")

    def ask(client: Counted) -> ChatCompletion:
        return client.chat.completions.create(
            model="safe-no-done", messages=ASKING, extra_headers={"Idempotency-Key": "once"}
        )

    with (
        Counted(service.url) as first,
        Counted(service.url, max_retries=5) as second,
        ThreadPoolExecutor() as pool,
    ):
        answering = pool.submit(ask, first)
        while provider.count("no-done@safe") == asked_before:
            time.sleep(0.01)
        with pytest.raises(openai.ConflictError) as in_progress:
            ask(first)
        assert in_progress.value.code == "idempotency_in_progress"
        threading.Timer(0.5, may_answer.set).start()
        answer = ask(second)
        assert second.sent > 1
        assert answer.id == answering.result().id
    assert provider.count("no-done@safe") == asked_before + 1
