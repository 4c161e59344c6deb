"""Whose fault a provider's refusal is: what its body says counts before its status."""

from typing import Any

import orjson
import pytest

from domain.exceptions import (
    ContentBlocked,
    ContextTooLong,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMUnavailable,
)
from infra.llm.transport.errors.mapping import refusal


def refused(status: int, body: object) -> LLMError:
    error = refusal("p", status, body, {})
    assert error.http_status == status
    return error


def openai(message: str, code: object = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def google(status: int, message: str, word: str = "INVALID_ARGUMENT", *reasons: str) -> Any:
    details = [{"reason": reason} for reason in reasons]
    return {"error": {"code": status, "message": message, "status": word, "details": details}}


def passed_on(document: object) -> Any:
    """What OpenRouter makes of the refusal of a host behind it."""
    metadata = {"raw": orjson.dumps(document).decode(), "provider_name": "Fake"}
    return {"error": {"code": 400, "message": "Provider returned error", "metadata": metadata}}


TOO_LONG = {
    "Bedrock, Claude": {"message": "The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum", "__type": "ValidationException"},
    "Bedrock, Llama": {"message": "This model's maximum context length is 8192 tokens. Please reduce the length of the prompt", "__type": "ValidationException"},
    "OpenAI": openai("This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens."),
    "OpenAI, by its code alone": openai("no", "context_length_exceeded"),
    "OpenAI, newer": openai("Your input exceeds the context window of this model. Please adjust your input and try again."),
    "vLLM": {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the messages, 100 in the completion).", "type": "BadRequestError", "code": 400},
    "vLLM, of the answer too": openai("'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your request has 10 input tokens", 400),
    "vLLM, decoder": openai("The decoder prompt (length 9000) is longer than the maximum model length of 4096."),
    "SGLang": openai("The input (9000 tokens) is longer than the model's context length (4096 tokens)."),
    "SGLang, of the answer too": openai("Requested token count exceeds the model's maximum context length of 4096 tokens."),
    "llama.cpp": openai("the request exceeds the available context size. try increasing the context size or enable context shift", 500, "exceed_context_size_error"),
    "llama.cpp, older": openai("the request exceeds the available context size, try increasing it", 500, "server_error"),
    "llama.cpp, newer": openai("request (124315 tokens) exceeds the available context size (123904 tokens), try increasing it", 400, ""),
    "llama-cpp-python": openai("Requested tokens (5000) exceed context window of 2048"),
    "Ollama": {"error": "input length exceeds the context length"},
    "LM Studio": {"error": "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with context length of only 32768 tokens, which is not enough."},
    "LM Studio, newer": {"error": "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 9000 >= n_ctx: 4096)."},
    "LM Studio, MLX": {"error": {"message": "Context size has been exceeded."}},
    "TGI": {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 200 `max_new_tokens`", "error_type": "validation"},
    "TGI, the input alone": {"error": "Input validation error: `inputs` must have less than 4095 tokens. Given: 9000", "error_type": "validation"},
    "Anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 213462 tokens > 200000 maximum"}},
    "Anthropic, of the answer too": {"type": "error", "error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}},
    "Bedrock": {"message": "Input is too long for requested model."},
    "Bedrock, Nova": {"message": "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again."},
    "Mistral": {"object": "error", "message": "Prompt contains 40011 tokens and 0 draft tokens, too large for model with 32768 maximum context length", "type": "invalid_request_error", "code": "3051"},
    "Groq": openai("Please reduce the length of the messages or completion."),
    "Together": openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193."),
    "DeepSeek": openai("This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (66000 in the messages, 4000 in the completion). Please reduce the length of the messages or completion."),
    "OpenRouter": {"error": {"code": 400, "message": "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens"}},
    "a host behind OpenRouter": passed_on(openai("no", "context_length_exceeded")),
    "Azure": openai("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.", "context_length_exceeded"),
    "GitHub Models": openai("Request body too large for gpt-4o model. Max size: 8000 tokens.", "tokens_limit_reached"),
    "Copilot": openai("prompt token count of 70000 exceeds the limit of 64000", "model_max_prompt_tokens_exceeded"),
    "xAI": {"code": "invalid", "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."},
    "Cohere": {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000."},
    "Moonshot": openai("Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)"),
    "MiniMax": openai("invalid params, context window exceeds limit (2013)"),
    "DashScope": openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", "invalid_parameter_error"),
    "Zhipu": openai("Prompt exceeds max length", "1261"),
    "Fireworks": openai("The prompt is too long: 10000, model maximum context length: 8192"),
    "TensorRT-LLM": {"message": "Prompt length (9000) exceeds maximum input length (4096)"},
    "Cloudflare": openai("The estimated number of input and maximum output tokens (9000) exceeded this model context window limit (8192)."),
    "LiteLLM": openai("litellm.ContextWindowExceededError: no", None, "ContextWindowExceededError"),
    "FastAPI": {"detail": "The prompt is too long for this model"},
    "a plain text": "prompt is too long",
    "Gemini": google(400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    "Gemini, as a list": [google(400, "The input token count exceeds the maximum number of tokens allowed 1048576.")],
    "Vertex": google(400, "Unable to submit request because the input token count is 1100000 but model only supports up to 1048576. Reduce the input token count and try again."),
    "Gemini, internal": google(500, "Your input context is too long.", "INTERNAL"),
}  # fmt: skip


@pytest.mark.seen("B6")
@pytest.mark.parametrize("status", [400, 413, 422, 500, 200])
@pytest.mark.parametrize("server", TOO_LONG)
def test_too_long_is_too_long_in_every_server_s_words_and_at_every_status(
    server: str, status: int
) -> None:
    assert type(refused(status, TOO_LONG[server])) is ContextTooLong


@pytest.mark.seen("B6")
@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for this model",
        "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower.",
        "Invalid 'max_tokens': integer above maximum value. Expected a value <= 8192, but got 65536 instead.",
        "Invalid 'temperature': decimal above maximum value.",
        "stop: list too long",
        "Field required",
        "",
    ],
)
def test_a_bound_on_output_that_is_too_large_is_the_callers_own_fault(message: str) -> None:
    assert type(refused(400, openai(message))) is LLMRejected
    assert type(refused(422, {"detail": message})) is LLMRejected
    assert type(refused(400, google(400, message))) is LLMRejected


@pytest.mark.parametrize(
    "message",
    ["the context window of this node", "internal error", "CUDA out of memory", "model is loading"],
)
def test_a_provider_s_own_fault_stays_its_own(message: str) -> None:
    assert type(refused(500, openai(message, None, "server_error"))) is LLMUnavailable
    assert type(refused(503, google(503, message, "UNAVAILABLE"))) is LLMUnavailable


GROQ = "Request too large for model `llama-3.3-70b-versatile` in organization `org_1` on tokens per minute (TPM): Limit 6000, Requested 14368, please reduce your message size and try again."


@pytest.mark.seen("B5")
@pytest.mark.parametrize("status", [400, 413, 429, 503])
@pytest.mark.parametrize(
    "body",
    [
        openai(GROQ, "rate_limit_exceeded", "tokens"),
        openai("slow down", None, "rate_limit_error"),
        openai("slow down", "429"),
        openai("slow down", 429),
        {"__type": "ThrottlingException", "message": "Too many tokens, please wait before trying again."},
        google(429, "You exceeded your current quota, please check your plan and billing details.", "RESOURCE_EXHAUSTED"),
    ],
)  # fmt: skip
def test_a_rate_limit_is_one_at_whatever_status_it_comes(status: int, body: object) -> None:
    assert type(refused(status, body)) is LLMRateLimited


@pytest.mark.seen("B5")
@pytest.mark.parametrize("status", [400, 413, 429])
def test_a_rate_limit_is_told_from_a_window_by_its_words_too(status: int) -> None:
    assert type(refused(status, openai(GROQ))) is LLMRateLimited
    per_minute = "This request would exceed the rate limit of 40,000 input tokens per minute"
    assert type(refused(status, openai(per_minute))) is LLMRateLimited


KEYS = {
    "Bedrock": {"message": "The security token included in the request is invalid.", "__type": "UnrecognizedClientException"},
    "Bedrock, expired": {"message": "The security token included in the request is expired", "__type": "ExpiredTokenException"},
    "Bedrock, signature": {"message": "no", "__type": "InvalidSignatureException"},
    "OpenAI": openai("Incorrect API key provided: sk-***. You can find your key at …", "invalid_api_key"),
    "xAI": {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: ba***na. You can obtain an API key from https://console.x.ai."},
    "xAI, encoded": {"code": "Client specified an invalid argument", "error": "Incorrect%20API%20key%20provided:%20ba***na."},
    "a plain text": "Incorrect API key provided: na***ys.",
    "a message alone": {"message": "Invalid API key"},
    "a detail alone": {"detail": "API key is missing"},
    "Anthropic": {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}},
    "DashScope": {"code": "InvalidApiKey", "message": "no"},
    "Gemini": google(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", "API_KEY_INVALID"),
    "Gemini, expired": google(400, "API key expired. Please renew the API key."),
    "OpenAI, none": openai("You didn't provide an API key."),
}  # fmt: skip
ACCOUNTS = {
    "Bedrock": {"message": "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: bedrock:InvokeModelWithResponseStream", "__type": "AccessDeniedException"},
    "OpenAI": openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota"),
    "OpenAI, unverified": openai("Your organization must be verified to use the model `gpt-9`. Please go to: https://…", "model_not_found"),
    "OpenAI, unverified, no code": openai("Your organization must be verified to stream this model. Please go to: https://…", "unsupported_value"),
    "OpenAI, bills": openai("no", "billing_hard_limit_reached"),
    "Anthropic": openai("Your credit balance is too low to access the Anthropic API."),
    "DeepSeek": openai("Insufficient Balance", "invalid_request_error", "unknown_error"),
    "Moonshot": openai("suspended", None, "exceeded_current_quota_error"),
    "Groq": openai("Organization has been restricted. Please reach out to support.", "organization_restricted"),
    "DashScope": {"code": "Arrearage", "message": "Access denied"},
    "Gemini, its bills": google(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
    "a host behind OpenRouter": passed_on(openai("Your organization must be verified to stream this model.")),
}  # fmt: skip
MODELS = {
    "Bedrock": {"message": "The provided model identifier is invalid."},
    "Bedrock, guardrail": {"message": "The guardrail identifier or version provided in the request does not exist.", "__type": "ValidationException"},
    "Bedrock, profile": {"message": "Invocation of model ID anthropic.claude-sonnet-4-6 with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN of an inference profile that contains this model.", "__type": "ValidationException"},
    "Bedrock, unknown": {"message": "no", "__type": "ResourceNotFoundException"},
    "OpenAI": openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"),
    "OpenAI, no code": openai("The model 'gpt-9.1' does not exist"),
    "OpenRouter": {"error": {"code": 400, "message": "openai/gpt-9 is not a valid model ID"}},
    "DeepSeek": openai("Model Not Exist"),
    "Groq": openai("The model `mixtral` has been decommissioned and is no longer supported.", "model_decommissioned"),
    "Mistral": {"object": "error", "message": "Invalid model: mistral-9", "type": "invalid_model", "code": "1500"},
    "Ollama": {"error": "model 'llama9' not found, try pulling it first"},
    "vLLM": {"object": "error", "message": "The model `x/y-1.5` does not exist.", "type": "NotFoundError", "code": 404},
    "Together": openai("Unable to access model x/y.", "model_not_available"),
    "Azure": openai("The API deployment for this resource does not exist.", "DeploymentNotFound"),
}  # fmt: skip


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 429, 500, 503])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=f"{line} {server}", marks=pytest.mark.seen(line))
        for line, bodies in (("B8", KEYS), ("B9", ACCOUNTS), ("B7", MODELS))
        for server, body in bodies.items()
    ],
)
def test_our_key_our_account_and_our_catalogue_are_ours_at_every_status(
    status: int, body: object
) -> None:
    error = refused(status, body)
    assert type(error) is LLMMisconfigured
    assert error.allows_fallback
    assert not error.is_retryable


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "words",
    [
        "incorrect api key provided",
        "the model does not exist",
        "your organization must be verified",
        "x is not a valid model",
        "insufficient balance",
    ],
)
def test_a_caller_s_words_that_are_sent_back_close_no_route(status: int, words: str) -> None:
    for quoted in (f"'{words}'", f'"{words}"', f"`{words}`"):
        assert type(refused(status, openai(f"Invalid stop: {quoted}"))) is LLMRejected
    sent_back = {"detail": [{"loc": ["body", "stop"], "msg": "Input too short", "input": words}]}
    assert type(refused(status, sent_back)) is LLMRejected
    assert type(refused(status, openai("Invalid value. " * 20 + words))) is LLMRejected


@pytest.mark.parametrize("status", [400, 403, 422, 500])
def test_a_block_is_a_block_whatever_its_status(status: int) -> None:
    assert type(refused(status, openai("filtered", "content_filter"))) is ContentBlocked
    assert type(refused(status, {"code": "DataInspectionFailed", "message": ""})) is ContentBlocked


def test_a_fault_that_is_shouted_at_a_four_hundred_passes_by_itself() -> None:
    assert type(refused(400, openai("busy", None, "overloaded_error"))) is LLMUnavailable


def test_a_body_that_holds_itself_many_times_over_is_read_without_harm() -> None:
    deep: object = "prompt is too long"
    for _ in range(200):
        deep = {"detail": [deep]}
    assert type(refused(400, deep)) is LLMRejected
