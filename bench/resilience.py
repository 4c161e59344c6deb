"""Measures the cost of deadline, retry, breaker, cooldown, bulkhead, fallback and metering for a healthy call.

    python -m bench.resilience

Asks a model that answers at once, alone and through the whole chain with a fallback behind it, alternately, and prints
the difference in CPU time a call. Its answers have eight deltas; those that arrive in one read of the network are one
piece. The attempts are counted by the service's own metrics.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from random import Random

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.model import Model
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply, Usage
from domain.interfaces.llm_client import LLMClient
from infra.clock import SystemClock
from infra.llm.catalogue.catalogue import CatalogueModel, Provider
from infra.llm.pricing.prices import Prices
from infra.llm.providers.registry import OPENAI
from infra.llm.resilience.fallback import Fallback
from infra.llm.resilience.fallback_order import FallbackPolicy
from infra.llm.route_builder import RouteBuilder
from infra.llm.transport.http_stream import provider_session
from infra.settings import Settings
from infra.telemetry.metrics.metrics import Metrics

DELTAS = 8
READS = (1, 3, 8)
_PROMPT = Prompt.from_text("How are you?")
_PROVIDER = Provider(
    name="healthy",
    kind=OPENAI,
    base_url="http://127.0.0.1:1",
    api_key=None,
    allow_http=True,
    price_url="",
)


class Healthy(LLMClient):
    """Answers at once, in several pieces."""

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces
        self._reply = Reply(
            finish_reason=FinishReason.STOP, usage=Usage(input_tokens=7, output_tokens=DELTAS)
        )

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        yield ProviderSelected(provider="healthy", model="first")
        for _ in range(self._pieces):
            yield "some words "
        yield self._reply


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthyRoutes(RouteBuilder):
    """The resilience chain, with a healthy model at its end."""

    model: LLMClient

    def client_of(self, entry: CatalogueModel) -> LLMClient:
        return self.model


async def cpu_microseconds(client: LLMClient, calls: int) -> float:
    """Return the CPU time of one call, in microseconds."""
    started = time.process_time()
    for _ in range(calls):
        now = time.monotonic()
        context = ChatRequestContext(
            id="1",
            user_id="bench",
            model="first",
            started_seconds=now,
            first_text_deadline=Deadline(now + 59),
            answer_deadline=Deadline(now + 59),
        )
        async with aclosing(client.stream(_PROMPT, context)) as pieces:
            async for _piece in pieces:
                pass
    return (time.process_time() - started) / calls * 1e6


async def measure(rounds: int, calls: int) -> None:
    """Print the cost of each shape of answer, without and with the chain, and the difference."""
    settings, clock = Settings(_env_file=None), SystemClock()
    metrics = Metrics(version="bench", environment="bench")
    prices = Prices({}, {}, clock)
    async with provider_session(settings.connect_seconds) as session:
        print(f"{DELTAS} deltas, {rounds} rounds of {calls} calls; µs of CPU a call, medians")
        for reads in READS:
            model = Healthy(reads)
            builder = HealthyRoutes(
                settings=settings,
                clock=clock,
                observer=metrics,
                random=Random(1),  # noqa: S311 - for jitter
                session=session,
                prices=prices,
                model=model,
            )
            routes = [builder.route(_entry(name)) for name in ("first", "second")]
            chain = Fallback(routes, policy=FallbackPolicy(), clock=clock)
            await _compare(f"in {reads} reads", model, chain, rounds, calls)


async def _compare(title: str, alone: LLMClient, chain: LLMClient, rounds: int, calls: int) -> None:
    bare, chained = [], []
    await cpu_microseconds(chain, calls)
    for _ in range(rounds):
        bare.append(await cpu_microseconds(alone, calls))
        chained.append(await cpu_microseconds(chain, calls))
    between = [one - other for one, other in zip(chained, bare, strict=True)]
    print(
        f"{title:10}  alone {statistics.median(bare):5.1f}  chain {statistics.median(chained):5.1f}"
        f"  resilience {statistics.median(between):5.1f}  (least {min(between):.1f})"
    )


def _entry(name: str) -> CatalogueModel:
    return CatalogueModel(
        model=Model(id=name, owned_by="healthy", context_tokens=8192, max_output_tokens=1024),
        provider=_PROVIDER,
        upstream=name,
    )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="turns of both (15)")
    parser.add_argument("--calls", type=int, default=2000, help="calls a turn (2000)")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rounds, arguments.calls))


if __name__ == "__main__":
    main()
