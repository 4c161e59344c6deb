"""So many calls at once for each provider, and no queue."""

import asyncio
from contextlib import aclosing

import pytest

from domain.entities.reply import ProviderSelected
from domain.exceptions import BulkheadFull, LLMUnavailable
from infra.llm.providers.scripted import ScriptedLLM
from infra.llm.resilience.bulkhead import Bulkhead, ProviderConcurrencyLimit
from infra.llm.resilience.call_hooks import HookedClient
from tests.fakes.clock import FakeClock
from tests.unit.infra.llm.resilience.parts import PROMPT, a_chat_context, read_answer


async def test_a_full_one_refuses_at_once_and_takes_the_next_when_one_has_left() -> None:
    clock, go_on, concurrency = FakeClock(), asyncio.Event(), ProviderConcurrencyLimit(3)
    llm = ScriptedLLM(*[[go_on, "yes"]] * 4)
    siblings = [HookedClient(llm, [Bulkhead(concurrency)]) for _ in range(2)]
    inside = [
        asyncio.create_task(read_answer(siblings[n % 2], a_chat_context(clock))) for n in range(3)
    ]
    while len(llm.asked) < 3:
        await asyncio.sleep(0)
    assert isinstance((await read_answer(siblings[0], a_chat_context(clock))).error, BulkheadFull)
    assert (concurrency.in_flight, concurrency.refused) == (3, 1)
    go_on.set()
    await asyncio.gather(*inside)
    assert (await read_answer(siblings[1], a_chat_context(clock))).text == "yes"
    assert (concurrency.in_flight, concurrency.refused) == (0, 1)


@pytest.mark.parametrize("ending", ["fails", "is cancelled", "is closed"])
async def test_however_a_call_ends_its_place_is_free_again(ending: str) -> None:
    clock, concurrency = FakeClock(), ProviderConcurrencyLimit(1)
    failure = LLMUnavailable(http_status=503)
    script = [["I", failure if ending == "fails" else asyncio.Event()] for _ in range(20)]
    client = HookedClient(ScriptedLLM(*script), [Bulkhead(concurrency)])
    for _ in range(20):
        if ending == "fails":
            assert (await read_answer(client, a_chat_context(clock))).error is failure
        elif ending == "is cancelled":
            reading = asyncio.create_task(read_answer(client, a_chat_context(clock)))
            while not concurrency.in_flight:
                await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        else:
            async with aclosing(client.stream(PROMPT, a_chat_context(clock))) as pieces:
                assert isinstance(await anext(pieces), ProviderSelected)
        assert concurrency.in_flight == 0
