"""Limits the background answers that each caller has at a time."""

from dataclasses import dataclass, field, replace

from domain.entities.chat_request_context import ChatRequestContext
from domain.exceptions import RateLimited
from domain.use_cases.background.run_answers import ReadyToAsk

_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class RunningAnswers:
    """Counts the background answers of each caller that this process makes, from `ReadyToAsk` until it is settled.

    Attributes:
        limit: Answers of one caller that may be begun at a time; those taken over from other processes count too.
    """

    limit: int
    _counts: dict[str, int] = field(default_factory=dict, init=False)

    def begin(self, rate_limit_key: str | None, ready: ReadyToAsk) -> ReadyToAsk:
        """Count an answer that is to begin; return `ready`, which ends the count when it is settled.

        Without a key nothing is counted.

        Raises:
            RateLimited: The caller has as many as it may have; nothing was counted.
        """
        if rate_limit_key is not None and self._counts.get(rate_limit_key, 0) >= self.limit:
            raise RateLimited(_RETRY_SECONDS, "concurrency")
        return self.take_over(rate_limit_key, ready)

    def take_over(self, rate_limit_key: str | None, ready: ReadyToAsk) -> ReadyToAsk:
        """Count an answer that another process has begun, also beyond the limit; return `ready` as `begin` does."""
        if rate_limit_key is None:
            return ready
        self._counts[rate_limit_key] = self._counts.get(rate_limit_key, 0) + 1

        def settle(context: ChatRequestContext) -> None:
            self._end(rate_limit_key)
            ready.settle(context)

        return replace(ready, settle=settle)

    def _end(self, rate_limit_key: str) -> None:
        self._counts[rate_limit_key] -= 1
        if not self._counts[rate_limit_key]:
            del self._counts[rate_limit_key]
