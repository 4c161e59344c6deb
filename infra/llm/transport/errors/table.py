"""The meanings of provider errors: one table for all providers, by code first and by wording second."""

import re
from enum import Enum, auto

from infra.llm.transport.errors.body import WireError, plain_code


class Meaning(Enum):
    """The meaning of an error, which decides whether another model may be called."""

    ACCOUNT = auto()
    """Our key, our account there, or our name for the model."""
    CONTEXT_TOO_LONG = auto()
    BLOCKED = auto()
    RATE_LIMITED = auto()
    OVERLOADED = auto()


def meaning_of(error: WireError, status: int) -> Meaning | None:
    """Return the meaning of an error body, whatever its status; None where only the status has a meaning.

    Args:
        error: The body.
        status: Of the response, or the one in its body where the response was a 200.
    """
    if status == 402 and error.metadata.get("limit_source") == "openrouter_in_flight_budget":
        return Meaning.RATE_LIMITED  # passes once the calls in flight have been billed
    for meaning, codes in _CODES.items():
        if not error.codes.isdisjoint(codes):
            return meaning
    if status in _MAY_BE_MODERATION and not error.metadata.keys().isdisjoint(_MODERATION_FIELDS):
        return Meaning.BLOCKED
    # Without quotations, which may be the caller's own text: it must not close a route.
    start = error.unquoted_start
    if _BLOCKED.search(start):
        return Meaning.BLOCKED
    if status in _MAY_BE_A_RATE_LIMIT and _RATE_LIMITED.search(start):
        return Meaning.RATE_LIMITED  # limits per minute are worded much like context windows
    if status not in _NEVER_TOO_LONG and _TOO_LONG.search(error.message):
        return Meaning.CONTEXT_TOO_LONG
    if _ACCOUNT.search(start):
        return Meaning.ACCOUNT
    return None


def _codes(*codes: str) -> frozenset[str]:
    return frozenset(plain_code(code) for code in codes)


# In the order of the search.
_CODES = {
    Meaning.ACCOUNT: _codes(
        # the key
        "API_KEY_INVALID",
        "API_KEY_EXPIRED",
        "API_KEY_SERVICE_BLOCKED",
        "invalid_api_key",
        "incorrect_api_key",
        "missing_api_key",
        "api_key_expired",
        "authentication_error",
        "auth_error",
        "unauthenticated",
        "permission_error",
        # the account and its money
        "FAILED_PRECONDITION",
        "SERVICE_DISABLED",
        "BILLING_DISABLED",
        "CONSUMER_SUSPENDED",
        "insufficient_quota",
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_funds",
        "insufficient_user_quota",
        "exceeded_current_quota_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "account_deactivated",
        "account_suspended",
        "arrearage",
        "organization_restricted",
        "organization_must_be_verified",
        # the catalogue's name for the model
        "model_not_found",
        "model_not_exist",
        "model_not_available",
        "model_not_supported",
        "model_decommissioned",
        "model_deprecated",
        "invalid_model",
        "invalid_model_id",
        "unknown_model",
        "unsupported_model",
        "deployment_not_found",
        # AWS: credentials, permissions and models
        "AccessDeniedException",
        "AccessDenied",
        "ExpiredTokenException",
        "ExpiredToken",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    ),
    Meaning.CONTEXT_TOO_LONG: _codes(
        "context_length_exceeded",
        "context_window_exceeded",
        "context_window_exceeded_error",
        "context_too_long",
        "exceed_context_size_error",
        "input_too_long",
        "prompt_too_long",
        "max_prompt_tokens_exceeded",
        "model_max_prompt_tokens_exceeded",
        "tokens_limit_reached",
    ),
    Meaning.BLOCKED: _codes(
        "content_filter",
        "content_policy_violation",
        "data_inspection_failed",
        "responsible_ai_policy_violation",
    ),
    Meaning.RATE_LIMITED: _codes(
        "rate_limit_exceeded",
        "rate_limit_error",
        "rate_limit_reached",
        "rate_limited",
        "rate_limit",
        "RESOURCE_EXHAUSTED",
        "too_many_requests",
        "requests_limit_exceeded",
        "tokens_per_minute_exceeded",
        "throttling",
        "throttling_exception",
        "ModelNotReadyException",
        "ServiceQuotaExceededException",
    ),
    Meaning.OVERLOADED: _codes(
        "overloaded_error", "overloaded", "server_overloaded", "engine_overloaded"
    ),
}

_MAY_BE_MODERATION = frozenset({400, 403, 422})
_MODERATION_FIELDS = frozenset({"flagged_input", "reasons"})
_NEVER_TOO_LONG = frozenset({401, 402, 403, 404, 407, 408, 429})
_MAY_BE_A_RATE_LIMIT = frozenset({400, 403, 413, 422})

_CONTEXT = r"context[ _-]?(?:length|size|window|limit)"
_SENT = r"(?:input|prompt|request(?:ed)?)"
_TOO_LONG = re.compile(
    "|".join(
        [
            # OpenAI, vLLM, OpenRouter, Mistral, Fireworks, xAI, TensorRT-LLM
            r"maximum (?:allowed )?(?:context|prompt|model|input|sequence) (?:length|size)",
            # llama.cpp, Ollama, LM Studio, SGLang, OpenAI's newer wording, Anthropic, MiniMax, Cloudflare
            rf"\b{_CONTEXT}\b[^.]{{0,60}}\b(?:exceed|overflow|too (?:long|small|large)|not enough)",
            rf"\b(?:exceed\w*|overflow\w*|(?:longer|greater|larger|more) than|beyond|outside)\b"
            rf"[^.]{{0,60}}\b(?:{_CONTEXT}|context)\b",
            r"\bcontext (?:the )?overflow",
            # Anthropic, Bedrock, Gemini, Fireworks, llama.cpp
            r"\b(?:prompt|inputs?|(?:input )?context|messages|conversation)\b(?: \(?\d+ tokens\)?)?"
            r" (?:is|are|was|has become) too (?:long|large)",
            # Gemini, Vertex, Copilot, SGLang, DashScope, OpenAI's per-request limit
            rf"\b{_SENT} (?:tokens?(?: count)?|length|sequence length)\b[^.]{{0,80}}"
            rf"(?:exceed|longer|greater|larger|should be \[|supports up to)",
            r"\bnumber of (?:input|prompt) tokens\b[^.]{0,40}exceed",
            # Cohere
            r"\btokens in the (?:prompt|input|messages)\b[^.]{0,40}exceed",
            r"\btoo many (?:input|prompt) tokens\b",
            # TGI, Together
            r"`?inputs`? tokens \+ `?max_new_tokens`?",
            r"`?inputs`? must have less than \d+ tokens",
            # Groq, Cerebras, OpenAI's older wording, LM Studio
            r"\b(?:reduce|shorten|decrease) (?:the |your )?(?:length of (?:the |your )?)?"
            r"(?:messages|prompt|input(?! and output)(?: length| token)?)\b",
            r"\bprovide a shorter (?:input|prompt)",
            # Moonshot, Zhipu, NVIDIA, Databricks, Cohere
            r"\bexceed\w* (?:the )?model token limit",
            r"\bprompt exceeds max(?:imum)? length",
            r"\bexceed\w* (?:the )?max(?:imum)? (?:input|prompt)",
            r"\bmax(?:imum)? input tokens?:? \d+",
            r"\btokens > \d+ maximum",
            r"上下文(?:长度|窗口)|输入过长|超出最大长度",
        ]
    )
)
_ACCOUNT = re.compile(
    "|".join(
        [
            r"\b(?:incorrect|invalid|missing|expired|wrong) api[ _-]?key\b",
            r"\bapi[ _-]?key (?:is )?(?:not valid|invalid|missing|expired|incorrect|not found)",
            r"\b(?:no|provide an|a valid) api[ _-]?key\b",
            r"\borgani[sz]ation must be verified\b",
            r"\borgani[sz]ation has been (?:restricted|disabled|suspended)",
            r"\bcredit balance is too low\b",
            r"\binsufficient (?:balance|credits?|quota|funds)\b",
            r"\bnot a valid model\b",
            r"\bguardrail identifier or version\b[^.]{0,60}\bdoes not exist\b",
            r"^the provided model identifier is invalid\b|^could not resolve the foundation model\b",
            r"^invocation of model id \S+ with on-demand throughput isn.?t supported",
            r"^(?:invalid|unknown|unsupported) model\b(?! (?:output|response|answer|state))",
            r"^no such model\b|^model not exist\b",
            r"\bmodel\b(?:(?!\. ).){0,100}?(?:\bdoes not exist|\bdoesn't exist|\bnot found\b"
            r"|\bcould not be found|\bhas been (?:decommissioned|deprecated|retired|shut ?down)"
            r"|\bis no longer (?:available|supported))",
        ]
    )
)
_BLOCKED = re.compile(r"^output blocked by content filter")  # Anthropic
_RATE_LIMITED = re.compile(
    r"\brate limit(?:ed|s)? (?:reached|exceeded|hit)\b|\btoo many requests\b"
    r"|\b(?:tokens|requests) per (?:min(?:ute)?|day|hour)\b"
)
