"""Errors of calls to a model."""

from typing import ClassVar

from domain.exceptions.base import DomainError


class LLMError(DomainError):
    """Base class: a model did not answer.

    Retry and fallback are separate properties: after a timeout the same route is not tried again, but another one is.

    Attributes:
        outcome: `Attempt.outcome` of a call that ended with this error.
        is_retryable: Whether a retry of the same route may succeed.
        allows_fallback: Whether another route may succeed.
        retry_after_seconds: Pause requested by the provider; None if there was none.
        http_status: HTTP status of the provider; None if there was no response.
    """

    outcome: ClassVar[str] = "error"
    is_retryable: ClassVar[bool] = False
    allows_fallback: ClassVar[bool] = True

    def __init__(
        self,
        message: str = "",
        *,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message or self.outcome)
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds


class LLMTimeout(LLMError):
    """No text, or no complete answer, in time.

    Attributes:
        caller_deadline_was_shorter: The deadline of the request ended before the provider's usual time limit, so the
            timeout says nothing about the provider.
    """

    code = "provider-timeout"
    outcome = "timeout"

    def __init__(
        self,
        message: str = "",
        *,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
        caller_deadline_was_shorter: bool = False,
    ) -> None:
        super().__init__(message, http_status=http_status, retry_after_seconds=retry_after_seconds)
        self.caller_deadline_was_shorter = caller_deadline_was_shorter


class LLMUnavailable(LLMError):
    """Network failure, server error, or an unreadable answer.

    Attributes:
        connection_broke: The connection was refused, reset or closed early.
    """

    code = "providers-failed"
    outcome = "unavailable"
    is_retryable = True

    def __init__(
        self,
        message: str = "",
        *,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
        connection_broke: bool = False,
    ) -> None:
        super().__init__(message, http_status=http_status, retry_after_seconds=retry_after_seconds)
        self.connection_broke = connection_broke


class AnswerDoesNotFit(LLMUnavailable):
    """The answer is not the requested JSON. A retry of the same model may succeed."""


class LLMRateLimited(LLMError):
    """The provider limits our request rate."""

    code = "providers-failed"
    outcome = "rate_limited"
    is_retryable = True


class LLMMisconfigured(LLMError):
    """The provider rejects our key, or does not have the model of the catalogue.

    Attributes:
        may_concern_one_call: The rejection may concern this call only, for example its price or region; otherwise
            every call would be rejected.
    """

    code = "provider-misconfigured"
    outcome = "misconfigured"

    def __init__(
        self,
        message: str = "",
        *,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
        may_concern_one_call: bool = False,
    ) -> None:
        super().__init__(message, http_status=http_status, retry_after_seconds=retry_after_seconds)
        self.may_concern_one_call = may_concern_one_call


class LLMRejected(LLMError):
    """The provider rejects this request, and would reject it again."""

    code = "provider-rejected"
    outcome = "rejected"
    allows_fallback = False


class ContextTooLong(LLMError):
    """The prompt exceeds the model's context window; only a model with a larger one can answer."""

    code = "context-too-long"
    outcome = "context_too_long"
    allows_fallback = False


class ContentBlocked(LLMError):
    """A safety filter refused the request before any text; no fallback is tried."""

    code = "content-blocked"
    outcome = "blocked"
    allows_fallback = False


class NoRoute(LLMError):
    """Every route is closed; `retry_after_seconds` is the time until one opens."""

    code = "providers-unavailable"
    outcome = "no_route"


class BulkheadFull(LLMError):
    """The limit of concurrent calls of the provider is reached; the provider was not called."""

    code = "overloaded"
    outcome = "bulkhead_full"
