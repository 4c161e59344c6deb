"""How many retries a route deserves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetPolicy:
    """What fills and empties the bucket, in tokens."""

    capacity_tokens: int = 100
    retry_tokens: int = 5
    timeout_tokens: int = 10
    success_tokens: int = 1


class RetryBudget:
    """A bucket of tokens that keeps retries from becoming a storm when a provider is ill.

    Every retry costs more than an answer at the first try brings back, so that under lasting failure
    retries end up a fixed share of the calls, whatever the load.
    """

    def __init__(self, policy: RetryBudgetPolicy) -> None:
        self._policy = policy
        self._tokens = policy.capacity_tokens

    @property
    def tokens(self) -> int:
        """What is left."""
        return self._tokens

    def take_retry(self) -> bool:
        """Pay for one retry; False when there is not enough left, and then nothing is taken."""
        if self._tokens < self._policy.retry_tokens:
            return False
        self._tokens -= self._policy.retry_tokens
        return True

    def pay_timeout(self) -> None:
        """Note a provider that kept a caller waiting for nothing."""
        self._tokens = max(0, self._tokens - self._policy.timeout_tokens)

    def refund_success(self) -> None:
        """Note an answer that came at the first try."""
        if self._tokens < self._policy.capacity_tokens:
            self._tokens = min(
                self._policy.capacity_tokens, self._tokens + self._policy.success_tokens
            )
