"""From what goes wrong on the wire to what the domain calls it. Nothing a provider wrote gets into a message."""

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
    """Turns the HTTP driver's errors, and bodies we cannot read, into ours; the cause stays attached.

    A class rather than a generator, which would cost every call of a provider two frames more, twice.
    """

    __slots__ = ("_http_status", "_provider")

    def __init__(self, provider: str, http_status: int | None = None) -> None:
        """Guard a block.

        Args:
            provider: Its name in the catalogue.
            http_status: The answer's; None while there is none.
        """
        self._provider = provider
        self._http_status = http_status

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is not None and (ours := self._ours(error)) is not None:
            raise ours from error

    def _ours(self, error: BaseException) -> LLMError | None:
        provider, http_status = self._provider, self._http_status
        if isinstance(error, TimeoutError):
            return LLMTimeout(f"{provider} could not be reached in time", http_status=http_status)
        if isinstance(
            error, aiohttp.ClientSSLError | aiohttp.ClientResponseError | aiohttp.InvalidURL
        ):
            return LLMUnavailable(
                f"{provider} does not speak as configured", http_status=http_status
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
    """Return what a refusal means.

    Args:
        provider: Its name in the catalogue.
        status: The answer's, or the one its body names where the answer itself was a 200.
        body: The parsed body, of any type; None when it could not be parsed.
        headers: The answer's.
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
    ruling = error.status if error.status in _BELIEVED else status
    if ruling == 429:
        return LLMRateLimited(message, http_status=status, retry_after_seconds=delay_seconds)
    if ruling in _ABOUT_OUR_SETTINGS:
        return LLMMisconfigured(
            message, http_status=status, may_concern_one_call=ruling in _MAY_CONCERN_ONE_CALL
        )
    if 400 <= ruling < 500 and ruling not in _TRANSIENT:
        return LLMRejected(message, http_status=status)
    return LLMUnavailable(message, http_status=status, retry_after_seconds=delay_seconds)


# What a body may say against the status it came with.
_BELIEVED = frozenset({401, 402, 403, 404, 429})
_ABOUT_OUR_SETTINGS = frozenset({401, 402, 403, 404, 405, 407, 410})
# Also said of a single call: more tokens asked for than the credit covers, a prompt or a region that is not served, an
# endpoint that lacks a parameter.
_MAY_CONCERN_ONE_CALL = frozenset({402, 403, 404})
_TRANSIENT = frozenset({408, 409, 425, 499})
