"""Maps HTTP errors and refusals of providers to domain errors, without any text of the provider."""

from collections.abc import Mapping

import aiohttp
import orjson

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
from infra.llm.transport.errors.retry_after import retry_after_seconds
from infra.llm.transport.errors.table import Meaning, meaning_of


class TranslateErrors:
    """Translates errors of the HTTP client, and of unreadable bodies, to domain errors, with the cause attached.

    A class rather than a generator, which would add two frames to every call of a provider, twice.
    """

    __slots__ = ("_http_status", "_provider")

    def __init__(self, provider: str, http_status: int | None = None) -> None:
        """Guard a block.

        Args:
            provider: The provider's name in the catalogue.
            http_status: Of the response; None before there is one.
        """
        self._provider = provider
        self._http_status = http_status

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is not None and (translated := self._translate(error)) is not None:
            raise translated from error

    def _translate(self, error: BaseException) -> LLMError | None:
        provider, http_status = self._provider, self._http_status
        if isinstance(error, TimeoutError):
            return LLMTimeout(f"{provider} could not be reached in time", http_status=http_status)
        if isinstance(
            error, aiohttp.ClientSSLError | aiohttp.ClientResponseError | aiohttp.InvalidURL
        ):
            return LLMUnavailable(
                f"{provider} does not use the configured protocol", http_status=http_status
            )
        if isinstance(error, aiohttp.ClientError | ConnectionError):
            return LLMUnavailable(
                f"the connection to {provider} broke",
                http_status=http_status,
                connection_broke=True,
            )
        if isinstance(error, UnreadableAnswer | orjson.JSONDecodeError):
            return LLMUnavailable(
                f"{provider} sent an answer we cannot read", http_status=http_status
            )
        return None


def refusal(provider: str, status: int, body: object, headers: Mapping[str, str]) -> LLMError:
    """Return the domain error of a refusal.

    Args:
        provider: The provider's name in the catalogue.
        status: Of the response, or the one in its body where the response was a 200.
        body: The parsed body, of any type; None when it could not be parsed.
        headers: Of the response.
    """
    error = WireError.parse(body)
    message = f"{provider} answered {status}"
    delay_seconds = retry_after_seconds(headers, error.retry_delay)
    match meaning_of(error, status):
        case Meaning.ACCOUNT:
            return LLMMisconfigured(message, http_status=status)
        case Meaning.CONTEXT_TOO_LONG:
            return ContextTooLong(message, http_status=status)
        case Meaning.BLOCKED:
            return ContentBlocked(message, http_status=status)
        case Meaning.RATE_LIMITED:
            return LLMRateLimited(message, http_status=status, retry_after_seconds=delay_seconds)
        case Meaning.OVERLOADED:
            return LLMUnavailable(message, http_status=status, retry_after_seconds=delay_seconds)
    effective = error.status if error.status in _OVERRIDING else status
    if effective == 429:
        return LLMRateLimited(message, http_status=status, retry_after_seconds=delay_seconds)
    if effective in _ABOUT_OUR_SETTINGS:
        return LLMMisconfigured(
            message, http_status=status, may_concern_one_call=effective in _MAY_CONCERN_ONE_CALL
        )
    if 400 <= effective < 500 and effective not in _TRANSIENT:
        return LLMRejected(message, http_status=status)
    return LLMUnavailable(message, http_status=status, retry_after_seconds=delay_seconds)


# Statuses in a body that override the status of the response.
_OVERRIDING = frozenset({401, 402, 403, 404, 429})
_ABOUT_OUR_SETTINGS = frozenset({401, 402, 403, 404, 405, 407, 410})
# Also sent for a single call: more tokens requested than the credit covers, a prompt or a region that is not served, an
# endpoint that lacks a parameter.
_MAY_CONCERN_ONE_CALL = frozenset({402, 403, 404})
_TRANSIENT = frozenset({408, 409, 424, 425, 499})
