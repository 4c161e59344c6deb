"""Settings of the calls of providers: timeouts, retries, circuit breakers."""

from pydantic import Field

from infra.settings.group import Count, CountOrZero, PositiveSeconds, Seconds, Share
from infra.settings.process import ProcessSettings


class ProviderCallSettings(ProcessSettings):
    """Timeouts, retries and circuit breakers of provider calls."""

    title = "Provider calls"

    connect_seconds: PositiveSeconds = Field(
        default=2.0, description="Longest wait for a connection to a provider."
    )
    first_token_seconds: PositiveSeconds = Field(
        default=12.0,
        description="Longest wait for a route's first token while another route is left; a model in MODELS_FILE may set its own.",
    )
    first_token_share: Share = Field(
        default=0.6,
        description="The same limit as a share of the time left; the shorter one applies.",
    )
    idle_seconds: PositiveSeconds = Field(
        default=15.0, description="Longest silence within an answer."
    )
    min_attempt_seconds: Seconds = Field(
        default=2.0, description="No attempt is started with less time left."
    )
    attempts_per_route: Count = Field(
        default=2,
        description="Calls of one provider and model for one request, the first included.",
    )
    attempts_per_turn: Count | None = Field(
        default=None,
        description="Calls of all providers together for one request; if not set, one more than there are routes, at least 3 and at most 6.",
    )
    retry_base_seconds: Seconds = Field(
        default=0.2, description="The first retry waits a random time between 0 and this."
    )
    retry_cap_seconds: Seconds = Field(
        default=2.0,
        description="Longest pause requested by a provider before a retry; if it requests a longer one, it is not called again for this request.",
    )
    retry_budget_tokens: CountOrZero = Field(
        default=100,
        description="Retry budget of a route: a retry costs 5, a timeout itself 10, and an answer at the first attempt adds 1.",
    )
    cooldown_cap_seconds: Seconds = Field(
        default=60.0, description="Longest pause that is accepted from a provider."
    )
    breaker_consecutive_failures: Count = Field(
        default=5, description="Consecutive failures that open the circuit breaker of a route."
    )
    breaker_failure_ratio: Share = Field(
        default=0.5, description="Share of failed calls that opens it too."
    )
    breaker_minimum_calls: Count = Field(
        default=10, description="With fewer calls in the window the share does not apply."
    )
    breaker_window_seconds: PositiveSeconds = Field(
        default=30.0, description="Window over which the share is taken."
    )
    breaker_open_seconds: PositiveSeconds = Field(
        default=10.0, description="Time for which a breaker stays open at first."
    )
    breaker_open_cap_seconds: PositiveSeconds = Field(
        default=15.0,
        description="Longest time for which it stays open, as failed probes extend it; if not set, at least BREAKER_OPEN_SECONDS.",
    )
    breaker_successes_to_close: Count = Field(
        default=2, description="Successful probes that close it again."
    )
    breaker_misconfigured_seconds: Seconds = Field(
        default=300.0,
        description="Time for which a provider that rejects the configured key is not called.",
    )
    max_calls_per_provider: Count = Field(
        default=1000,
        description="Concurrent calls of one provider; further ones go to the next route, or get 503.",
    )
    max_answer_bytes: Count = Field(
        default=1024 * 1024,
        description="A longer answer is cut at this size and recorded as truncated.",
    )
    price_lookup_enabled: bool = Field(
        default=True,
        description="Computes costs from known prices of models; `false`: only from prices stated in MODELS_FILE.",
    )

    def breaker_longest_open_seconds(self) -> float:
        """Return the longest opening: the cap, or a longer BREAKER_OPEN_SECONDS where the cap is not set."""
        if "breaker_open_cap_seconds" in self.model_fields_set:
            return self.breaker_open_cap_seconds
        return max(self.breaker_open_cap_seconds, self.breaker_open_seconds)
