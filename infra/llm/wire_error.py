"""The error bodies of Google, OpenAI, OpenRouter and servers like them, read as one."""

import re
from dataclasses import dataclass

_MOST_OF_A_MESSAGE = 2000
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_PHRASES = (
    "input token count",
    "maximum context length",
    "context size",
    "context window",
)
_BLOCK_CODES = frozenset({"content_filter", "content_policy_violation"})
_ACCOUNT_CODES = frozenset({"API_KEY_INVALID", "FAILED_PRECONDITION", "invalid_api_key"})
_THREE_DIGITS = re.compile(r"\d{3}", re.ASCII)
_STATUS_OF_CODE = {
    **dict.fromkeys(_CONTEXT_CODES | _BLOCK_CODES, 400),
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "overloaded_error": 529,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireError:
    """What an error body says, as far as it matters.

    Attributes:
        codes: Every word it uses for what is wrong, from whichever field.
        status: The HTTP status it names or implies; None when it does neither.
        message: The start of its text in lower case; read, never passed on.
        metadata: OpenRouter's details.
        retry_delay: Google's, as sent.
    """

    codes: frozenset[str]
    status: int | None
    message: str
    metadata: dict[str, object]
    retry_delay: object

    @classmethod
    def of(cls, body: object) -> "WireError":
        """Return what `body` says; one of the wrong shape says nothing."""
        if isinstance(body, list) and body:
            body = body[0]  # Gemini's array of one, without `alt=sse`
        error = body.get("error") or body if isinstance(body, dict) else {}
        if isinstance(error, str):
            error = {"message": error}  # Ollama's
        if not isinstance(error, dict):
            error = {}
        details = [item for item in _list(error.get("details")) if isinstance(item, dict)]
        words = [error.get("code"), error.get("type"), error.get("status")]
        words += [item.get("reason") for item in details]
        message = error.get("message")
        metadata = error.get("metadata")
        return cls(
            codes=frozenset(word for word in words if isinstance(word, str)),
            status=_status(error.get("code"), error.get("type")),
            message=message[:_MOST_OF_A_MESSAGE].lower() if isinstance(message, str) else "",
            metadata=metadata if isinstance(metadata, dict) else {},
            retry_delay=next((d["retryDelay"] for d in details if "retryDelay" in d), None),
        )

    @property
    def says_our_account_is_at_fault(self) -> bool:
        """Google's 400s for a bad key, and for billing or a region that is not open to us."""
        return not self.codes.isdisjoint(_ACCOUNT_CODES)

    @property
    def says_context_too_long(self) -> bool:
        """More than the model's window."""
        return not self.codes.isdisjoint(_CONTEXT_CODES) or any(
            phrase in self.message for phrase in _CONTEXT_PHRASES
        )

    @property
    def says_blocked(self) -> bool:
        """A safety filter: by code, or as OpenRouter's moderation describes it."""
        return (
            not self.codes.isdisjoint(_BLOCK_CODES)
            or "flagged_input" in self.metadata
            or "reasons" in self.metadata
        )

    @property
    def says_credit_is_only_reserved(self) -> bool:
        """OpenRouter's 402 that passes once calls in flight have been billed."""
        return self.metadata.get("limit_source") == "openrouter_in_flight_budget"


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _status(*values: object) -> int | None:
    for value in values:
        status = value
        if isinstance(value, str):
            status = int(value) if _THREE_DIGITS.fullmatch(value) else _STATUS_OF_CODE.get(value)
        if isinstance(status, int) and 400 <= status <= 599:
            return status
    return None
