"""Composes the client of each model with its resilience."""

from dataclasses import dataclass, field
from random import Random

import aiohttp

from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from domain.interfaces.telemetry import AttemptObserver
from infra.llm.catalogue.catalogue import CatalogueModel, Provider
from infra.llm.credentials.access_tokens import AccessToken, AccessTokens
from infra.llm.embeddings.call import EmbeddingEvents
from infra.llm.pricing.prices import Prices
from infra.llm.providers.registry import ClientOptions
from infra.llm.resilience.breaker_state import Breaker, BreakerPolicy
from infra.llm.resilience.bulkhead import Bulkhead, ProviderConcurrencyLimit
from infra.llm.resilience.call_hooks import HookedClient
from infra.llm.resilience.circuit_breaker import CircuitBreaker
from infra.llm.resilience.cooldown import Cooldown
from infra.llm.resilience.deadline import Deadline
from infra.llm.resilience.json_answer import JsonAnswer
from infra.llm.resilience.metered import Metered
from infra.llm.resilience.retry import Retry, RetryPolicy
from infra.llm.resilience.retry_budget import RetryBudgetPolicy
from infra.llm.resilience.route import Route
from infra.llm.transport.authorization import Authorization
from infra.settings.provider_calls import ProviderCallSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteBuilder:
    """Builds the routes of one process; those of one provider share a concurrency limit and an authorization."""

    settings: ProviderCallSettings
    clock: Clock
    observer: AttemptObserver
    random: Random
    session: aiohttp.ClientSession
    prices: Prices
    _concurrency: dict[str, ProviderConcurrencyLimit] = field(default_factory=dict, init=False)
    _authorizations: dict[str, Authorization] = field(default_factory=dict, init=False)

    def route(self, entry: CatalogueModel) -> Route:
        """Return the route to one model, with everything but fallback."""
        settings, clock = self.settings, self.clock
        provider, model = entry.provider.name, entry.id
        first_token_seconds = entry.first_token_seconds or settings.first_token_seconds
        concurrency = self._concurrency.setdefault(
            provider, ProviderConcurrencyLimit(settings.max_calls_per_provider)
        )
        breaker = Breaker(f"{provider} {model}", self._breaker_policy(), clock, self.random)
        cooldown = Cooldown(cap_seconds=settings.cooldown_cap_seconds, clock=clock)
        bounded = Deadline(
            JsonAnswer(self.client_of(entry), provider=provider),
            clock=clock,
            first_token_seconds=first_token_seconds,
            first_token_share=settings.first_token_share,
            min_attempt_seconds=settings.min_attempt_seconds,
            idle_seconds=settings.idle_seconds,
        )
        metered = Metered(
            provider=provider,
            model=model,
            answered_status=entry.provider.kind.success_status,
            clock=clock,
            observer=self.observer,
        )
        guarded = HookedClient(
            bounded,
            hooks=(
                cooldown,
                CircuitBreaker(breaker=breaker, first_token_seconds=first_token_seconds),
                Bulkhead(concurrency),
                metered,
            ),
        )
        retried = Retry(
            guarded,
            provider=provider,
            model=model,
            policy=self._retry_policy(),
            clock=clock,
            random=self.random,
            breakers=(cooldown, breaker),
        )
        return Route(
            provider=provider,
            model=model,
            context_tokens=entry.model.context_tokens,
            max_output_tokens=entry.model.max_output_tokens,
            capabilities=entry.model.capabilities,
            upstream=entry.upstream,
            computes_embeddings=entry.model.computes_embeddings,
            continues=entry.continues,
            client=retried,
            once=guarded,
            breakers=(cooldown, breaker),
            concurrency=concurrency,
            budget=retried.budget,
        )

    def client_of(self, entry: CatalogueModel) -> LLMClient:
        """Return the client of one model, without anything around it; that of an embeddings model takes `EmbeddingCall`s."""
        kind, options = entry.provider.kind, self._options(entry)
        if not entry.model.computes_embeddings:
            return kind.open_client(options)
        assert kind.embeddings is not None  # checked in the models file
        return EmbeddingEvents(
            kind.embeddings.open_client(options), provider=options.provider, model=entry.id
        )

    def _options(self, entry: CatalogueModel) -> ClientOptions:
        provider = entry.provider
        return ClientOptions(
            session=self.session,
            provider=provider.name,
            model=entry.id,
            upstream=entry.upstream,
            family=entry.family,
            max_output_tokens=entry.model.max_output_tokens,
            base_url=provider.base_url,
            cache_points=entry.cache_points,
            guardrail=entry.guardrail,
            api_key=provider.api_key,
            api_key_header=provider.api_key_header,
            dialect=provider.dialect,
            max_answer_bytes=self.settings.max_answer_bytes,
            idle_seconds=self.settings.idle_seconds,
            cost=self.prices.calculator(entry.id),
            authorization=self._authorization_of(provider),
        )

    def prepare(self) -> None:
        """Start the search for the credentials of all providers, so that the first chat need not wait."""
        for authorization in self._authorizations.values():
            authorization.prepare()

    async def close(self) -> None:
        """Stop looking for credentials; to be called once the routes are no longer used."""
        for authorization in self._authorizations.values():
            await authorization.close()

    def _authorization_of(self, provider: Provider) -> Authorization | None:
        """Return the authorization of a provider, which is opened once; None where a key is enough, or none is needed."""
        name = provider.name
        if name not in self._authorizations and not provider.api_key:
            open_signer, identity = provider.kind.open_signer, provider.identity
            if open_signer is not None and identity is not None:
                self._authorizations[name] = open_signer(identity, name)
            elif provider.has_google_auth:
                self._authorizations[name] = AccessTokens(
                    _fetch_google_token, provider=name, clock=self.clock
                )
        return self._authorizations.get(name)

    def _retry_policy(self) -> RetryPolicy:
        settings = self.settings
        return RetryPolicy(
            attempts_per_route=settings.attempts_per_route,
            base_seconds=settings.retry_base_seconds,
            cap_seconds=settings.retry_cap_seconds,
            min_attempt_seconds=settings.min_attempt_seconds,
            budget=RetryBudgetPolicy(capacity_tokens=settings.retry_budget_tokens),
        )

    def _breaker_policy(self) -> BreakerPolicy:
        settings = self.settings
        return BreakerPolicy(
            consecutive_failures=settings.breaker_consecutive_failures,
            failure_ratio=settings.breaker_failure_ratio,
            minimum_calls=settings.breaker_minimum_calls,
            window_seconds=settings.breaker_window_seconds,
            open_seconds=settings.breaker_open_seconds,
            open_cap_seconds=settings.breaker_longest_open_seconds(),
            successes_to_close=settings.breaker_successes_to_close,
            misconfigured_seconds=settings.breaker_misconfigured_seconds,
        )


def _fetch_google_token() -> AccessToken:
    # imported only where it is configured
    from infra.llm.credentials.google_token import fetch_google_token

    return fetch_google_token()
