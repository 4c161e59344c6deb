"""Opens the clients for all models of the catalogue: one for chats, one for embeddings."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random

import aiohttp

from domain.interfaces.clock import Clock
from domain.interfaces.embedding_client import EmbeddingClient
from domain.interfaces.llm_client import LLMClient
from domain.interfaces.telemetry import AttemptObserver
from infra.llm.catalogue.catalogue import Catalogue, CatalogueModel
from infra.llm.embeddings.chain import EmbeddingChain, EmbeddingRoutes
from infra.llm.model_router import Routes
from infra.llm.pricing.price_list import PriceQuery, look_up
from infra.llm.pricing.prices import Prices
from infra.llm.pricing.tariff import Tariff
from infra.llm.resilience.fallback import Fallback
from infra.llm.resilience.fallback_order import FallbackPolicy
from infra.llm.resilience.route import Route
from infra.llm.resilience.route_health import RouteHealth
from infra.llm.route_builder import RouteBuilder
from infra.llm.spread import Spread, WeightedRoute
from infra.llm.transport.http_stream import provider_session
from infra.settings.provider_calls import ProviderCallSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LLM:
    """All models behind one client for each operation.

    Attributes:
        client: Calls the model of a chat, and its fallbacks.
        embeddings: Calls the model of a request for embeddings, and its fallbacks.
    """

    client: LLMClient
    embeddings: EmbeddingClient
    _routes: tuple[Route, ...]

    def health(self) -> list[RouteHealth]:
        """Return the current state of every route, in the order of the catalogue."""
        return [route.health() for route in self._routes]


@asynccontextmanager
async def open_llm(
    catalogue: Catalogue,
    settings: ProviderCallSettings,
    *,
    clock: Clock,
    observer: AttemptObserver,
    random: Random | None = None,
    trace_configs: Sequence[aiohttp.TraceConfig] = (),
) -> AsyncIterator[LLM]:
    """Yield the clients of all models of the catalogue; closes all connections at the end.

    Args:
        catalogue: The models.
        settings: Limits and timeouts.
        clock: For deadlines, pauses and openings.
        observer: Notified of each call of a provider.
        random: For jitter; None creates one.
        trace_configs: Follow the calls as HTTP requests.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            provider_session(settings.connect_seconds, trace_configs=trace_configs)
        )
        listed = look_up(_queries(catalogue)) if settings.price_lookup_enabled else {}
        jitter = random or Random()  # noqa: S311 - for jitter, not for secrets
        builder = RouteBuilder(
            settings=settings,
            clock=clock,
            observer=observer,
            random=jitter,
            session=session,
            prices=Prices(_stated(catalogue), listed, clock),
        )
        stack.push_async_callback(builder.close)
        routes = {entry.id: builder.route(entry) for entry in catalogue.entries}
        builder.prepare()
        policy = FallbackPolicy(
            attempts_per_route=settings.attempts_per_route,
            attempts_per_turn=settings.attempts_per_turn,
            min_attempt_seconds=settings.min_attempt_seconds,
        )
        weights = {entry.id: entry.weight for entry in catalogue.entries}
        chains: dict[str, LLMClient] = {}
        embedding_chains: dict[str, EmbeddingChain] = {}
        for entry in catalogue.entries:
            if entry.model.computes_embeddings:
                same = [catalogue.entry(model) for model in (entry.id, *entry.fallbacks)]
                embedding_chains[entry.id] = EmbeddingChain.of(
                    [(routes[each.id], _takes_tokens(each)) for each in same], policy, clock
                )
                continue
            fallbacks = [routes[model] for model in entry.fallbacks if model not in entry.spread]
            if entry.spread:
                sharing = [WeightedRoute(routes[model], weights[model]) for model in entry.spread]
                chains[entry.id] = Spread(sharing, fallbacks, policy=policy, clock=clock)
            else:
                own = routes[entry.id]
                chains[entry.id] = Fallback([own, *fallbacks], policy=policy, clock=clock)
        yield LLM(
            client=Routes(chains),
            embeddings=EmbeddingRoutes(embedding_chains),
            _routes=tuple(routes.values()),
        )


def _takes_tokens(entry: CatalogueModel) -> bool:
    api = entry.provider.kind.embeddings
    return api is not None and api.takes_tokens


def _stated(catalogue: Catalogue) -> Mapping[str, Tariff]:
    return {
        entry.id: Tariff.fixed(
            *entry.usd_per_million,
            entry.cached_input_usd_per_million,
            entry.cache_write_usd_per_million,
        )
        for entry in catalogue.entries
        if entry.usd_per_million is not None
    }


def _queries(catalogue: Catalogue) -> list[PriceQuery]:
    return [
        PriceQuery(model=entry.id, upstream=entry.upstream, url=entry.provider.price_url)
        for entry in catalogue.entries
        if not entry.provider.kind.is_demo and entry.usd_per_million is None
    ]
