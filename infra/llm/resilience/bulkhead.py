"""Limits concurrent calls per provider."""

from domain.entities.chat_request_context import ChatRequestContext
from domain.exceptions import BulkheadFull
from infra.llm.resilience.call_hooks import CallHooks


class ProviderConcurrencyLimit:
    """Counts the calls in flight to one provider, of all its models together.

    Attributes:
        limit: The most calls in flight.
        in_flight: Calls in flight now.
        refused: Calls refused since the start because the limit was reached.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.refused = 0


class Bulkhead(CallHooks[None]):
    """Refuses a call when its provider's limit is reached. Calls do not queue, since a fallback answers sooner."""

    def __init__(self, concurrency: ProviderConcurrencyLimit) -> None:
        self._concurrency = concurrency

    def on_enter(self, context: ChatRequestContext) -> None:
        if self._concurrency.in_flight >= self._concurrency.limit:
            self._concurrency.refused += 1
            raise BulkheadFull
        self._concurrency.in_flight += 1

    def on_exit(self, call: None) -> None:
        self._concurrency.in_flight -= 1
