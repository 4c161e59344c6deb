"""One way to an answer."""

from dataclasses import dataclass

from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.route_health import Closable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One catalogue model with all that stands before it.

    Attributes:
        provider: The provider's name in the catalogue.
        model: The catalogue id.
        context_tokens: The model's window.
        continues: The model takes up a partial answer that is the last message.
        client: Asks it, and once more where that may help.
        once: The same without a second try.
        doors: What may refuse a call before it is made.
    """

    provider: str
    model: str
    context_tokens: int
    continues: bool
    client: LLMClient
    once: LLMClient
    doors: tuple[Closable, ...]

    def closed_for_seconds(self) -> float:
        """Return how long calls will be refused; 0 when one may be tried."""
        longest = 0.0
        for door in self.doors:
            longest = max(longest, door.closed_for_seconds())
        return longest
