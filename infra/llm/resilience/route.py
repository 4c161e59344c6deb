"""One way to an answer."""

from dataclasses import dataclass, replace

from domain.entities.prompt import Prompt
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.bulkhead import ProviderConcurrencyLimit
from infra.llm.resilience.retry_budget import RetryBudget
from infra.llm.resilience.route_health import RouteBreaker, RouteHealth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One catalogue model with all that stands before it.

    Attributes:
        provider: The provider's name in the catalogue.
        model: The catalogue id.
        context_tokens: The model's window; None where it is not known.
        max_output_tokens: What the model writes at the most; None where that is not known.
        upstream: The provider's name for the model.
        continues: The model takes up a partial answer that is the last message.
        client: Asks it, and once more where that may help.
        once: The same without a second try.
        breakers: What may refuse a call before it is made.
        concurrency: Counts the calls on their way to the provider.
        budget: Pays for its retries.
    """

    provider: str
    model: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    upstream: str = ""
    continues: bool
    client: LLMClient
    once: LLMClient
    breakers: tuple[RouteBreaker, ...]
    concurrency: ProviderConcurrencyLimit
    budget: RetryBudget

    def prompt_for(self, prompt: Prompt) -> Prompt:
        """Return what this route is asked: `prompt`, for no more output than its model gives."""
        most, asked = self.max_output_tokens, prompt.max_output_tokens
        if asked is None or most is None or asked <= most:
            return prompt
        return replace(prompt, max_output_tokens=most)

    def closed_for_seconds(self) -> float:
        """Return how long calls will be refused; 0 when one may be tried."""
        longest = 0.0
        for breaker in self.breakers:
            longest = max(longest, breaker.closed_for_seconds())
        return longest

    def is_closed(self) -> bool:
        """Return whether a call would be refused."""
        for breaker in self.breakers:  # noqa: SIM110 - `any` makes a generator, for every answer
            if breaker.closed_for_seconds():
                return True
        return False

    def health(self) -> RouteHealth:
        """Return its state at this moment: that of the breaker which opens last."""
        closures = [
            closure for breaker in self.breakers if (closure := breaker.closure()) is not None
        ]
        return RouteHealth(
            provider=self.provider,
            model=self.model,
            closure=max(closures, key=lambda closure: closure.retry_after_seconds, default=None),
            in_flight=self.concurrency.in_flight,
            refused=self.concurrency.refused,
            retry_tokens=self.budget.tokens,
        )
