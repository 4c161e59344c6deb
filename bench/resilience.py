"""What a healthy call pays for deadline, retry, breaker, cooldown, bulkhead, fallback and metering together.

    python -m bench.resilience

Asks the demo model alone and through the whole chain, in turns, and prints the difference in CPU time a call.
"""

import argparse
import asyncio
import statistics
import time
from contextlib import aclosing

from domain.entities.deadline import Deadline
from domain.entities.interaction import Attempt
from domain.entities.prompt import Prompt
from domain.entities.reply import Usage
from domain.entities.turn import Turn
from domain.interfaces.llm_client import LLMClient
from infra.clock import SystemClock
from infra.llm.chain import open_llm
from infra.llm.configured_models import load_catalogue
from infra.llm.demo import DemoLLM
from infra.llm.resilience.metered import AttemptObserver
from infra.settings import Settings

_PROMPT = Prompt.asking("How are you?")


class _Unobserved(AttemptObserver):
    def attempt_started(self, turn: Turn, provider: str, model: str) -> None:
        return

    def attempt_ended(
        self, turn: Turn, attempt: Attempt, first_text_seconds: float | None, usage: Usage
    ) -> None:
        return


async def cpu_microseconds(client: LLMClient, calls: int) -> float:
    """Return the CPU time of one call, in microseconds."""
    started = time.process_time()
    for _ in range(calls):
        now = time.monotonic()
        turn = Turn(
            id="1",
            user_id="bench",
            model="demo",
            started_seconds=now,
            first_text_by=Deadline(now + 59),
            whole_by=Deadline(now + 59),
        )
        async with aclosing(client.stream(_PROMPT, turn)) as pieces:
            async for _piece in pieces:
                pass
    return (time.process_time() - started) / calls * 1e6


async def measure(rounds: int, calls: int) -> None:
    """Print the figures of both, and what is between them."""
    settings, clock = Settings(_env_file=None), SystemClock()
    catalogue = load_catalogue(Settings(_env_file=None, models_file=None), {}, clock)
    async with open_llm(catalogue, settings, clock=clock, observer=_Unobserved()) as llm:
        bare, chained = [], []
        await cpu_microseconds(llm.client, calls)
        for _ in range(rounds):
            bare.append(await cpu_microseconds(DemoLLM(), calls))
            chained.append(await cpu_microseconds(llm.client, calls))
    between = [one - other for one, other in zip(chained, bare, strict=True)]
    print(f"model alone      {statistics.median(bare):6.1f} µs of CPU a call")
    print(f"whole chain      {statistics.median(chained):6.1f} µs")
    print(f"resilience costs {statistics.median(between):6.1f} µs (least {min(between):.1f})")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="turns of both (15)")
    parser.add_argument("--calls", type=int, default=2000, help="calls a turn (2000)")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rounds, arguments.calls))


if __name__ == "__main__":
    main()
