"""One provider's trouble does not fill the whole ship."""

from domain.entities.chat_request_context import ChatRequestContext
from domain.exceptions import BulkheadFull
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.call_hooks import Gate


class ProviderConcurrencyLimit:
    """The calls on their way to one provider, of all its models together.

    Attributes:
        limit: How many there may be.
        in_flight: How many there are.
        refused: How many more were wanted while it was full, since the start.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.refused = 0


class Bulkhead(Gate[None]):
    """Refuses a call when its provider's compartment is full; nobody queues, for the next route is better."""

    def __init__(self, inner: LLMClient, *, compartment: ProviderConcurrencyLimit) -> None:
        super().__init__(inner)
        self._compartment = compartment

    def enter(self, context: ChatRequestContext) -> None:
        if self._compartment.in_flight >= self._compartment.limit:
            self._compartment.refused += 1
            raise BulkheadFull
        self._compartment.in_flight += 1

    def leave(self, call: None) -> None:
        self._compartment.in_flight -= 1
