"""Limits the retries of a route to a share of its calls."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetPolicy:
    """Costs and refunds, in tokens."""

    capacity_tokens: int = 100
    retry_tokens: int = 5
    timeout_tokens: int = 10
    success_tokens: int = 1


class RetryBudget:
    """A token bucket that prevents retry storms.

    A retry costs more than a success refunds, so that under lasting failure retries are a fixed share of the calls,
    whatever the load.
    """

    def __init__(self, policy: RetryBudgetPolicy) -> None:
        self._policy = policy
        self._tokens = policy.capacity_tokens

    @property
    def tokens(self) -> int:
        """The remaining tokens."""
        return self._tokens

    def take_retry(self) -> bool:
        """Pay for one retry; return False and take nothing where too few tokens are left."""
        if self._tokens < self._policy.retry_tokens:
            return False
        self._tokens -= self._policy.retry_tokens
        return True

    def pay_timeout(self) -> None:
        """Pay for a timeout of the provider."""
        self._tokens = max(0, self._tokens - self._policy.timeout_tokens)

    def refund_success(self) -> None:
        """Refund for an answer at the first attempt."""
        if self._tokens < self._policy.capacity_tokens:
            self._tokens = min(
                self._policy.capacity_tokens, self._tokens + self._policy.success_tokens
            )
