"""Spreads the requests for one model over several routes to it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import log

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.fallback import Fallback
from infra.llm.resilience.fallback_order import FallbackPolicy
from infra.llm.resilience.route import Route

_HASH_BYTES = 6  # with eight, a share could be rounded to 1, whose logarithm is 0
_HASHES = 1 << (8 * _HASH_BYTES)
_BEGINNING_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class WeightedRoute:
    """A route and its share of the requests, in proportion to the weights of the others."""

    route: Route
    weight: float


class Spread(LLMClient):
    """Calls the routes of one model in an order that differs between conversations.

    The requests of a conversation prefer the same routes in the same order, in all processes and after a restart, so
    that the caches of the providers hit; a weight that changes moves as few conversations as possible. Requests that
    continue nothing take turns. A route that is closed or fails is followed by the next one, as in any fallback.

    A request that does not allow fallbacks calls the first route alone.
    """

    def __init__(
        self,
        routes: Sequence[WeightedRoute],
        fallbacks: Sequence[Route],
        *,
        policy: FallbackPolicy,
        clock: Clock,
    ) -> None:
        """Join routes.

        Args:
            routes: To one model, that of the requested catalogue model first.
            fallbacks: The other routes of its fallbacks, in order.
            policy: Limits on attempts and time.
            clock: For the remaining time of a request.
        """
        self._routes = tuple(routes)
        self._fallbacks = tuple(fallbacks)
        self._policy = policy
        self._clock = clock
        self._total_weight = sum(each.weight for each in routes)
        self._credits = [0.0] * len(routes)
        self._seeds = [blake2b(each.route.model.encode()).digest() for each in routes]

    def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        routes = self._order(prompt, context)
        context.preferred_model = routes[0].model
        return Fallback(routes, policy=self._policy, clock=self._clock).stream(prompt, context)

    def _order(self, prompt: Prompt, context: ChatRequestContext) -> list[Route]:
        if not context.may_fall_back:
            return [self._routes[0].route]
        key = _conversation_key(prompt, context)
        places = self._next_turn() if key is None else self._preferences(key)
        needed = prompt.required_capabilities()
        routes = [
            route
            for route in (self._routes[place].route for place in places)
            if needed <= route.capabilities
        ]
        return [*routes, *self._fallbacks] if routes else [self._routes[0].route, *self._fallbacks]

    def _preferences(self, key: bytes) -> list[int]:
        """Return the order of the routes for a conversation, by weighted rendezvous hashing."""
        scores = []
        for seed, each in zip(self._seeds, self._routes, strict=True):
            digest = blake2b(key, digest_size=_HASH_BYTES, key=seed).digest()
            share = (int.from_bytes(digest) + 1) / (_HASHES + 1)
            scores.append(-each.weight / log(share))
        return sorted(range(len(scores)), key=scores.__getitem__, reverse=True)

    def _next_turn(self) -> list[int]:
        """Return the order of the routes for one request, by smooth weighted round robin."""
        credits = self._credits
        for place, each in enumerate(self._routes):
            credits[place] += each.weight
        places = sorted(range(len(credits)), key=credits.__getitem__, reverse=True)
        credits[places[0]] -= self._total_weight
        return places


def _conversation_key(prompt: Prompt, context: ChatRequestContext) -> bytes | None:
    """Return the key that the requests of a conversation share; None for a request that continues nothing.

    Clients that send the earlier messages themselves name no conversation; theirs begin with the same message.
    """
    if context.conversation_id is not None:
        text = f"conversation\0{context.user_id}\0{context.conversation_id}"
    elif prompt.caching is not None and prompt.caching.key is not None:
        text = f"key\0{context.user_id}\0{prompt.caching.key}"
    elif len(prompt.messages) > 1:
        beginning = prompt.messages[0].text[:_BEGINNING_CHARACTERS]
        text = f"messages\0{context.user_id}\0{beginning}"
    else:
        return None
    return text.encode(errors="surrogatepass")
