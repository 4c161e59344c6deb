"""What asking a model can fail with."""

from typing import ClassVar

from domain.exceptions.base import DomainError


class LLMError(DomainError):
    """A model did not answer.

    Two facts, because they differ: silence is not worth waiting for again, but another may speak.

    Attributes:
        outcome: How an attempt that ended so is listed.
        is_retryable: The same route, asked again, may answer.
        allows_fallback: Another route may answer.
        retry_after_seconds: The provider asked for this pause; None when it did not.
        http_status: The provider's status; None when it sent none.
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
    """Silence, or no full answer in time.

    Attributes:
        caller_deadline_was_shorter: The caller's time ended before the provider had what it is usually given; says nothing
            about the provider.
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
    """Network failure, the provider's own fault, or an answer that cannot be read.

    Attributes:
        connection_broke: The connection was refused, reset or cut, rather than misused.
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


class LLMRateLimited(LLMError):
    """The provider wants us to slow down."""

    code = "providers-failed"
    outcome = "rate_limited"
    is_retryable = True


class LLMMisconfigured(LLMError):
    """The provider refuses our key, or does not know the model the catalogue names.

    Attributes:
        may_concern_one_call: The provider may have refused this call only: its price, its region, something it names.
            False: every other call would be refused likewise.
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
    """The provider refuses this request, and would refuse it again."""

    code = "provider-rejected"
    outcome = "rejected"
    allows_fallback = False


class ContextTooLong(LLMError):
    """More than the model's window; only a model with a larger one may help."""

    code = "context-too-long"
    outcome = "context_too_long"
    allows_fallback = False


class ContentBlocked(LLMError):
    """A safety filter refused before any text came; nobody else is asked."""

    code = "content-blocked"
    outcome = "blocked"
    allows_fallback = False


class NoRoute(LLMError):
    """Nobody may be asked now; `retry_after_seconds` says when somebody may."""

    code = "providers-unavailable"
    outcome = "no_route"


class BulkheadFull(LLMError):
    """As many calls as we allow are already on their way to that provider; none was added."""

    code = "overloaded"
    outcome = "bulkhead_full"
