"""Every implementation of the LLM port, made to behave as a test says.

To put a decorator under the contract, add a line to `BUILDERS`: `"retry": around(lambda inner: Retry(inner, …))`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from domain.entities.items import ToolCall
from domain.entities.reply import FinishReason, ReasoningDelta, Reply, Usage
from domain.exceptions import (
    ContentBlocked,
    ContextTooLong,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMUnavailable,
)
from domain.interfaces.llm_client import LLMClient
from infra.clock import SystemClock
from infra.llm.providers.anthropic.client import AnthropicClient
from infra.llm.providers.bedrock.client import BedrockClient
from infra.llm.providers.bedrock.identity import AwsIdentity
from infra.llm.providers.bedrock.signer import BedrockSigner
from infra.llm.providers.demo import DemoLLM
from infra.llm.providers.gemini.client import GeminiClient
from infra.llm.providers.openai.client import OpenAICompatibleClient
from infra.llm.providers.scripted import Piece, ScriptedLLM
from infra.llm.resilience.breaker_state import Breaker, BreakerPolicy
from infra.llm.resilience.bulkhead import Bulkhead, ProviderConcurrencyLimit
from infra.llm.resilience.call_hooks import CallHooks, HookedClient
from infra.llm.resilience.circuit_breaker import CircuitBreaker
from infra.llm.resilience.cooldown import Cooldown
from infra.llm.resilience.deadline import Deadline
from infra.llm.resilience.fallback import Fallback
from infra.llm.resilience.fallback_order import FallbackPolicy
from infra.llm.resilience.metered import Metered
from infra.llm.resilience.retry import Retry, RetryPolicy
from infra.llm.resilience.retry_budget import RetryBudget, RetryBudgetPolicy
from infra.llm.resilience.route import Route
from infra.llm.transport.http_stream import provider_session
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.behaviour import (
    Behaviour,
    Blocks,
    Breaks,
    Calls,
    Hangs,
    Raw,
    Refuses,
    Says,
    Thinks,
)
from tests.fakes.behaviour import Piece as FakePiece
from tests.fakes.gemini import FakeGemini
from tests.fakes.http_provider import FakeProvider
from tests.fakes.openai import FakeOpenAI
from tests.unit.infra.llm.resilience.parts import RecordingObserver

HANG_UP_SECONDS = 1.0


@dataclass(frozen=True)
class LLMUnderTest:
    """A client, and what happened behind it.

    Attributes:
        client: What is tested.
        until_asked: Returns once the provider has a request.
        until_hung_up: Returns once the provider has seen the client leave; fails after a second.
        counts_reasoning: The provider counts the tokens of reasoning by themselves.
    """

    client: LLMClient
    until_asked: Callable[[], Awaitable[None]]
    until_hung_up: Callable[[], Awaitable[None]]
    counts_reasoning: bool = True


Builder = Callable[[AsyncExitStack, Sequence[Behaviour]], Awaitable[LLMUnderTest]]


def expected_error(refuses: Refuses) -> LLMError:
    """Return what a provider's refusal means to the domain."""
    status, delay = refuses.status, refuses.retry_after_seconds
    if refuses.reason == "bad key":
        return LLMMisconfigured(http_status=status)
    if refuses.reason == "too long":
        return ContextTooLong(http_status=status)
    if refuses.reason == "rate limit":
        return LLMRateLimited(http_status=status)
    if refuses.reason == "no model":
        return LLMMisconfigured(http_status=status)
    if status == 429:
        return LLMRateLimited(http_status=status, retry_after_seconds=delay)
    if status in (401, 402, 403, 404):
        return LLMMisconfigured(http_status=status)
    if status in (400, 413, 422):
        return LLMRejected(http_status=status)
    return LLMUnavailable(http_status=status, retry_after_seconds=delay)


def around(decorate: Callable[[LLMClient], LLMClient]) -> Builder:
    """Return the builder of a decorator: the same contract holds with a scripted model inside it."""

    async def build(stack: AsyncExitStack, behaviours: Sequence[Behaviour]) -> LLMUnderTest:
        scripted = ScriptedLLM(*(_script(behaviour) for behaviour in behaviours))

        async def until_asked() -> None:
            await _until(lambda: bool(scripted.asked))

        async def until_hung_up() -> None:
            await _until(lambda: scripted.hung_up > 0)

        return LLMUnderTest(decorate(scripted), until_asked, until_hung_up)

    return build


async def _gemini(stack: AsyncExitStack, behaviours: Sequence[Behaviour]) -> LLMUnderTest:
    provider = await stack.enter_async_context(FakeGemini(*behaviours))
    session = await stack.enter_async_context(provider_session(2.0))
    client = GeminiClient(
        session,
        provider="gemini",
        model="a-model",
        upstream="gemini-3.8-flash",
        base_url=provider.base_url,
        api_key="test-key",
        max_answer_bytes=1024 * 1024,
        cost=_free,
    )
    return _behind(provider, client)


async def _openai(stack: AsyncExitStack, behaviours: Sequence[Behaviour]) -> LLMUnderTest:
    provider = await stack.enter_async_context(FakeOpenAI(*behaviours))
    session = await stack.enter_async_context(provider_session(2.0))
    client = OpenAICompatibleClient(
        session,
        provider="openrouter",
        model="a-model",
        upstream="openai/gpt-5.4-mini",
        base_url=provider.base_url,
        api_key="test-key",
        max_answer_bytes=1024 * 1024,
        cost=_free,
    )
    return _behind(provider, client)


async def _anthropic(stack: AsyncExitStack, behaviours: Sequence[Behaviour]) -> LLMUnderTest:
    provider = await stack.enter_async_context(FakeAnthropic(*behaviours))
    session = await stack.enter_async_context(provider_session(2.0))
    client = AnthropicClient(
        session,
        provider="anthropic",
        model="a-model",
        upstream="claude-sonnet-4-6",
        base_url=provider.base_url,
        api_key="test-key",
        max_answer_bytes=1024 * 1024,
        cost=_free,
    )
    return _behind(provider, client)


async def _bedrock(stack: AsyncExitStack, behaviours: Sequence[Behaviour]) -> LLMUnderTest:
    provider = await stack.enter_async_context(FakeBedrock(*behaviours))
    session = await stack.enter_async_context(provider_session(2.0))
    signer = BedrockSigner(
        AwsIdentity(
            region=provider.region,
            access_key_id=provider.own.access_key,
            secret_access_key=provider.own.secret,
        ),
        provider="bedrock",
    )
    stack.push_async_callback(signer.close)
    client = BedrockClient(
        session,
        provider="bedrock",
        model="a-model",
        upstream="us.anthropic.claude-sonnet-4-6",
        base_url=provider.base_url,
        authorization=signer,
        max_answer_bytes=1024 * 1024,
        cost=_free,
    )
    return replace(_behind(provider, client), counts_reasoning=False)


async def _demo(stack: AsyncExitStack, behaviours: Sequence[Behaviour]) -> LLMUnderTest:
    async def until() -> None:
        """Nobody is behind it."""

    return LLMUnderTest(DemoLLM(), until, until)


def _deadline(inner: LLMClient) -> LLMClient:
    return Deadline(
        inner,
        clock=SystemClock(),
        first_token_seconds=12.0,
        first_token_share=0.6,
        min_attempt_seconds=2.0,
        idle_seconds=15.0,
    )


def _metered() -> CallHooks[Any]:
    return Metered(
        provider="scripted",
        model="a-model",
        answered_status=200,
        clock=SystemClock(),
        observer=RecordingObserver(),
    )


def _bulkhead() -> CallHooks[Any]:
    return Bulkhead(ProviderConcurrencyLimit(1_000))


def _circuit_breaker() -> CallHooks[Any]:
    breaker = Breaker("scripted", BreakerPolicy(), SystemClock(), Random())
    return CircuitBreaker(breaker=breaker, first_token_seconds=12.0)


def _cooldown() -> CallHooks[Any]:
    return Cooldown(cap_seconds=60.0, clock=SystemClock())


def _hooked(*hooks: Callable[[], CallHooks[Any]]) -> Builder:
    return around(lambda inner: HookedClient(inner, [each() for each in hooks]))


def _retry(inner: LLMClient) -> Retry:
    return Retry(
        inner,
        provider="scripted",
        model="a-model",
        policy=RetryPolicy(base_seconds=0.001),
        clock=SystemClock(),
        random=Random(),
        breakers=(),
    )


def _fallback(inner: LLMClient) -> LLMClient:
    route = Route(
        provider="scripted",
        model="a-model",
        context_tokens=1_000,
        continues=False,
        client=inner,
        once=inner,
        breakers=(),
        concurrency=ProviderConcurrencyLimit(1_000),
        budget=RetryBudget(RetryBudgetPolicy()),
    )
    return Fallback([route], policy=FallbackPolicy(), clock=SystemClock())


BUILDERS: dict[str, Builder] = {
    "gemini": _gemini,
    "openai-compatible": _openai,
    "anthropic": _anthropic,
    "bedrock": _bedrock,
    "scripted": around(lambda inner: inner),
    "deadline": around(_deadline),
    "metered": _hooked(_metered),
    "bulkhead": _hooked(_bulkhead),
    "circuit breaker": _hooked(_circuit_breaker),
    "cooldown": _hooked(_cooldown),
    "retry": around(_retry),
    "fallback": around(_fallback),
    "all hooks": _hooked(_cooldown, _circuit_breaker, _bulkhead, _metered),
}
"""Clients that can be told what to do."""

SELF_WILLED: dict[str, Builder] = {"demo": _demo}
"""Clients that keep the contract but do as they like."""


def _free(usage: Usage) -> Usage:
    return usage


def _behind(provider: FakeProvider, client: LLMClient) -> LLMUnderTest:
    async def until_asked() -> None:
        await _until(lambda: bool(provider.seen))

    async def until_hung_up() -> None:
        await _until(lambda: bool(provider.left))

    return LLMUnderTest(client, until_asked, until_hung_up)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_UP_SECONDS):
        while not condition():
            await asyncio.sleep(0)


def _script(behaviour: Behaviour) -> LLMError | Sequence[Piece]:
    match behaviour:
        case Says(pieces, FinishReason.STOP) if not pieces:
            return LLMUnavailable(http_status=200)
        case Says():
            return (
                *_spoken(behaviour.pieces),
                Reply(finish_reason=behaviour.finish, usage=behaviour.usage),
            )
        case Blocks(pieces) if pieces:
            return (*_spoken(pieces), Reply(finish_reason=FinishReason.CONTENT_FILTER))
        case Blocks():
            return ContentBlocked()
        case Refuses():
            return expected_error(behaviour)
        case Breaks(pieces):
            return (*_spoken(pieces), LLMUnavailable(connection_broke=True))
        case Hangs(pieces):
            return (*_spoken(pieces), asyncio.Event())
        case Raw():
            raise NotImplementedError("bytes are for those that speak over a wire")


def _spoken(pieces: Sequence[FakePiece]) -> Iterator[Piece]:
    for piece in pieces:
        match piece:
            case Thinks():
                yield ReasoningDelta(piece.text)
            case Calls():
                yield ToolCall(id=piece.id or "call_1", name=piece.name, arguments=piece.arguments)
            case _:
                yield piece
