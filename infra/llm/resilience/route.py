"""One catalogue model with its resilience."""

from dataclasses import dataclass, replace

from domain.entities.prompt import Prompt
from domain.entities.tools import Capability
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.bulkhead import ProviderConcurrencyLimit
from infra.llm.resilience.retry_budget import RetryBudget
from infra.llm.resilience.route_health import RouteBreaker, RouteHealth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One catalogue model, its clients and their state.

    Attributes:
        provider: The provider's name in the catalogue.
        model: The catalogue id.
        context_tokens: The model's context window; None where unknown.
        max_output_tokens: The model's limit on output; None where unknown.
        capabilities: What the model supports beyond text.
        upstream: The provider's name for the model.
        computes_embeddings: The model computes embeddings, and answers no chats.
        continues: The model continues a partial answer that is the last message.
        client: Calls the model, with retries.
        once: Calls the model without retries.
        breakers: May refuse a call before it is made.
        concurrency: Counts the calls in flight to the provider.
        budget: The retry budget.
    """

    provider: str
    model: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    upstream: str = ""
    computes_embeddings: bool = False
    continues: bool
    client: LLMClient
    once: LLMClient
    breakers: tuple[RouteBreaker, ...]
    concurrency: ProviderConcurrencyLimit
    budget: RetryBudget

    def prompt_for(self, prompt: Prompt) -> Prompt:
        """Return `prompt` with its output limited to that of the model."""
        limit, requested = self.max_output_tokens, prompt.max_output_tokens
        if requested is None or limit is None or requested <= limit:
            return prompt
        return replace(prompt, max_output_tokens=limit)

    def closed_for_seconds(self) -> float:
        """Return how long calls will be refused; 0 when one may be made."""
        longest = 0.0
        for breaker in self.breakers:
            longest = max(longest, breaker.closed_for_seconds())
        return longest

    def is_closed(self) -> bool:
        """Return whether a call would be refused."""
        for breaker in self.breakers:  # noqa: SIM110 - `any` would create a generator for every answer
            if breaker.closed_for_seconds():
                return True
        return False

    def health(self) -> RouteHealth:
        """Return the current state: that of the breaker that admits calls last."""
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
            computes_embeddings=self.computes_embeddings,
        )
