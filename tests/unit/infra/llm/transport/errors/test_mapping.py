"""Every status and every kind of error body, and what it is called here."""

from typing import Any

import aiohttp
import orjson
import pytest

from domain.exceptions import (
    ContentBlocked,
    ContextTooLong,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMTimeout,
    LLMUnavailable,
)
from infra.llm.transport.errors.answer_errors import UnreadableAnswer
from infra.llm.transport.errors.body import WireError
from infra.llm.transport.errors.mapping import TranslateErrors, refusal

CANARY = "canary-that-must-not-leak"


def refused(status: int, body: object = None, **headers: str) -> LLMError:
    return refusal("gemini", status, body, headers)


def google(status: int, word: str = "", message: str = "", *details: object) -> dict[str, Any]:
    return {"error": {"code": status, "status": word, "message": message, "details": [*details]}}


def openai(message: str = "", code: object = None, kind: str = "") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def openrouter(code: object, **metadata: object) -> dict[str, Any]:
    return {"error": {"code": code, "message": "flagged", "metadata": metadata}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, LLMRejected),
        (401, LLMMisconfigured),
        (402, LLMMisconfigured),
        (403, LLMMisconfigured),
        (404, LLMMisconfigured),
        (405, LLMMisconfigured),
        (406, LLMRejected),
        (408, LLMUnavailable),
        (409, LLMUnavailable),
        (410, LLMMisconfigured),
        (413, LLMRejected),
        (415, LLMRejected),
        (422, LLMRejected),
        (429, LLMRateLimited),
        (451, LLMRejected),
        (499, LLMUnavailable),
        (500, LLMUnavailable),
        (502, LLMUnavailable),
        (503, LLMUnavailable),
        (504, LLMUnavailable),
        (529, LLMUnavailable),
        (599, LLMUnavailable),
        (204, LLMUnavailable),
        (301, LLMUnavailable),
        (307, LLMUnavailable),
    ],
)
@pytest.mark.parametrize("body", [None, {}, [], "text", {"error": None}, {"error": {}}])
def test_a_status_alone_says_enough(status: int, kind: type[LLMError], body: object) -> None:
    error = refused(status, body)
    assert type(error) is kind
    assert error.http_status == status
    assert error.retry_after_seconds is None


BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
TOO_MANY = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
VLLM = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
LLAMA = "the request exceeds the available context size. try increasing the context size"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, google(400, "INVALID_ARGUMENT", "API key not valid.", BAD_KEY), LLMMisconfigured),
        (400, [google(400, "INVALID_ARGUMENT", "", BAD_KEY)], LLMMisconfigured),
        (400, google(400, "FAILED_PRECONDITION", "User location"), LLMMisconfigured),
        (400, google(400, "INVALID_ARGUMENT", "Unknown field"), LLMRejected),
        (400, google(400, "INVALID_ARGUMENT", TOO_MANY), ContextTooLong),
        (400, openai("too long", "context_length_exceeded"), ContextTooLong),
        (413, openai("too long", "context_length_exceeded"), ContextTooLong),
        (400, {"object": "error", "message": VLLM, "code": 400}, ContextTooLong),
        (400, openrouter(400) | {"message": VLLM}, LLMRejected),
        (400, openai(VLLM, 400), ContextTooLong),
        (400, openai(LLAMA, 400, "exceed_context_size_error"), ContextTooLong),
        (400, {"error": LLAMA}, ContextTooLong),
        (500, openai("the context window of this node", "server_error"), LLMUnavailable),
        (400, openai("flagged", "content_filter"), ContentBlocked),
        (400, openai("flagged", "content_policy_violation"), ContentBlocked),
        (403, openrouter(403, reasons=["violence"], flagged_input="x"), ContentBlocked),
        (403, openrouter(403, provider_name="x"), LLMMisconfigured),
        (503, openrouter(503, reasons=["no host"]), LLMUnavailable),
        (402, openrouter(402, limit_source="openrouter_in_flight_budget"), LLMRateLimited),
        (402, openrouter(402, limit_source="credits"), LLMMisconfigured),
        (401, openai("bad", "invalid_api_key"), LLMMisconfigured),
        (400, openai("bad", "invalid_api_key"), LLMMisconfigured),
        (404, openai("no", "model_not_found"), LLMMisconfigured),
        (429, openai("pay", "insufficient_quota"), LLMMisconfigured),
    ],
)
def test_a_body_may_say_more_than_its_status(
    status: int, body: object, kind: type[LLMError]
) -> None:
    error = refused(status, body)
    assert type(error) is kind
    assert error.http_status == status


@pytest.mark.parametrize("status", [429, 503, 500])
def test_a_delay_is_taken_from_the_header_or_from_google_s_details(status: int) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "45.837906927s"}
    quota = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
    assert refused(status, **{"Retry-After": "7"}).retry_after_seconds == 7.0
    body = google(status, "RESOURCE_EXHAUSTED", "", quota, info, "junk", None)
    assert refused(status, body).retry_after_seconds == 45.837906927


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 502}, 502),
        ({"code": "503"}, 503),
        ({"code": "rate_limit_exceeded"}, 429),
        ({"code": None, "type": "server_error"}, 500),
        ({"code": 0, "type": "overloaded_error"}, 529),
        ({"code": 200}, None),
        ({"code": 99999}, None),
        ({"code": True}, None),
        ({"code": "99999"}, None),
        ({"code": 400.5}, None),
        ({"code": ["x"]}, None),
        ({}, None),
        ("overloaded", None),
        (7, None),
    ],
)
def test_the_code_in_a_body_counts_as_a_status(error: object, status: int | None) -> None:
    assert WireError.parse({"error": error}).status == status


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 408, 422, 429, 500, 503])
def test_nothing_a_provider_wrote_gets_into_a_message(status: int) -> None:
    body = {
        "error": {
            "code": CANARY,
            "message": CANARY,
            "status": CANARY,
            "type": CANARY,
            "details": [{"reason": CANARY, "retryDelay": CANARY}],
            "metadata": {"raw": CANARY, "reasons": [CANARY]},
        }
    }
    error = refused(status, body, **{"Retry-After": CANARY, "X-Secret": CANARY})
    assert CANARY not in f"{error!r} {error} {vars(error)}"


@pytest.mark.parametrize(
    ("cause", "kind", "connection_broke"),
    [
        (aiohttp.ServerDisconnectedError(), LLMUnavailable, True),
        (aiohttp.ClientPayloadError("cut"), LLMUnavailable, True),
        (aiohttp.ClientOSError(104, "reset"), LLMUnavailable, True),
        (ConnectionResetError(), LLMUnavailable, True),
        (aiohttp.InvalidURL("nowhere"), LLMUnavailable, False),
        (aiohttp.ConnectionTimeoutError(), LLMTimeout, None),
        (TimeoutError(), LLMTimeout, None),
        (UnreadableAnswer("x"), LLMUnavailable, False),
        (orjson.JSONDecodeError("x", CANARY, 0), LLMUnavailable, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_driver_s_errors_become_ours_with_their_cause(
    cause: Exception, kind: type[LLMError], connection_broke: bool | None
) -> None:
    with pytest.raises(kind) as raised, TranslateErrors("gemini", 200):
        raise cause
    assert raised.value.__cause__ is cause
    assert raised.value.http_status == 200
    assert getattr(raised.value, "connection_broke", None) is connection_broke
    assert CANARY not in str(raised.value)


def test_what_is_ours_already_stays_as_it_is() -> None:
    error = LLMRejected()
    with pytest.raises(LLMRejected) as raised, TranslateErrors("gemini"):
        raise error
    assert raised.value is error
