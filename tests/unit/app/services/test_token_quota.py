"""Tokens set aside before a call and settled after it."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from app.services.answer_events import AnswerEvents
from app.services.token_quota import TokenQuota
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt
from domain.entities.model import Model
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, ProviderSelected, Reply, Usage
from domain.exceptions import HistoryUnavailable, LLMUnavailable, RateLimited
from domain.interfaces.rate_limiter import Reservation, TokenBudget
from domain.use_cases.answer_prompt import AnswerPrompt
from domain.use_cases.record_answer import AnswerRecorder
from infra.security.token_budget import MemoryTokenBudget
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.model import Step, SteppingLLM

WHO = ProviderSelected(provider="p", model="m")
MODEL = Model(id="m", owned_by="p", context_tokens=1000, max_output_tokens=400)
PROMPT = Prompt.from_text("x" * 300, system="y" * 30)  # 110 tokens of three bytes


class Ledger(TokenBudget):
    """A budget that remembers what it was asked."""

    def __init__(self, tokens: int) -> None:
        self.budget = MemoryTokenBudget(FakeClock(), tokens_per_day=tokens)
        self.asked: list[tuple[int, int]] = []
        self.spent: list[int] = []

    async def reserve(self, name: str, *, least: int, most: int) -> Reservation:
        self.asked.append((least, most))
        return await self.budget.reserve(name, least=least, most=most)

    def settle(self, reservation: Reservation, spent: int) -> None:
        self.spent.append(spent)
        self.budget.settle(reservation, spent)


class Calls:
    """Calls of one caller with a budget."""

    def __init__(self, tokens: int) -> None:
        self.ledger = Ledger(tokens)
        self.quota = TokenQuota(self.ledger)
        self.history = InMemoryHistory()
        self.sent: list[Prompt] = []

    def begin(
        self, *steps: Step, prompt: Prompt = PROMPT, model: Model = MODEL, **context: Any
    ) -> AnswerEvents:
        llm = SteppingLLM(*steps)
        llm.asked = self.sent
        answer_prompt = AnswerPrompt(llm=llm, history=self.history, clock=FakeClock())
        return self.quota("ana", a_chat_context(**context), prompt, model, answer_prompt)

    async def make(self, *steps: Step, prompt: Prompt = PROMPT, model: Model = MODEL) -> None:
        assert [piece async for piece in self.begin(*steps, prompt=prompt, model=model)]


def reply(**usage: int) -> Reply:
    return Reply(finish_reason=FinishReason.STOP, usage=Usage(**usage))


async def test_what_the_provider_counted_is_spent() -> None:
    calls = Calls(10_000)
    await calls.make(WHO, "hi", reply(total_tokens=77, input_tokens=1))
    await calls.make(WHO, "hi", reply(input_tokens=30, output_tokens=4))
    assert calls.ledger.spent == [77, 34]
    assert calls.ledger.asked == [(111, 510)] * 2


async def test_what_nobody_counted_is_estimated_from_what_went_and_came() -> None:
    calls = Calls(10_000)
    await calls.make(WHO, "é" * 30, reply())
    assert calls.ledger.spent == [110 + 20]


@pytest.mark.seen("D9")
@pytest.mark.parametrize("leaves", [False, True])
async def test_a_call_that_was_sent_costs_its_prompt_without_a_word(leaves: bool) -> None:
    class Sending(SteppingLLM):
        def stream(self, prompt: Prompt, context: ChatRequestContext) -> Any:
            context.is_sent = True
            return super().stream(prompt, context)

    calls = Calls(10_000)
    llm = Sending(WHO, asyncio.Event() if leaves else LLMUnavailable())
    answer_prompt = AnswerPrompt(llm=llm, history=calls.history, clock=FakeClock())
    pieces = calls.quota("ana", a_chat_context(is_streamed=True), PROMPT, MODEL, answer_prompt)
    await anext(pieces)
    if leaves:
        await pieces.aclose()
    else:
        with pytest.raises(LLMUnavailable):
            await anext(pieces)
    assert calls.ledger.spent == [110]


@pytest.mark.seen("A13")
async def test_what_replaced_attempts_used_is_spent_too() -> None:
    class Twice(SteppingLLM):
        def stream(self, prompt: Prompt, context: ChatRequestContext) -> Any:
            context.attempts += [
                Attempt(provider="p", model=model, outcome=outcome, seconds=1.0, usage=usage)
                for model, outcome, usage in (
                    ("a", "timeout", Usage(input_tokens=40, output_tokens=2)),
                    ("b", "unavailable", None),
                    ("c", "ok", Usage(total_tokens=50)),
                )
            ]
            return super().stream(prompt, context)

    calls = Calls(10_000)
    llm = Twice(WHO, "hi", reply(total_tokens=50))
    answer_prompt = AnswerPrompt(llm=llm, history=calls.history, clock=FakeClock())
    pieces = calls.quota("ana", a_chat_context(), PROMPT, MODEL, answer_prompt)
    assert [piece async for piece in pieces]
    assert calls.ledger.spent == [92]


@pytest.mark.parametrize("error", [LLMUnavailable(), HistoryUnavailable(), ZeroDivisionError()])
async def test_a_call_that_was_not_sent_costs_nothing(error: Exception) -> None:
    calls = Calls(10_000)
    with pytest.raises(type(error)):
        await calls.make(error)
    assert calls.ledger.spent == [0]


async def test_a_call_that_broke_off_costs_what_came() -> None:
    calls = Calls(10_000)
    with pytest.raises(LLMUnavailable):
        await calls.make(WHO, "a" * 30, LLMUnavailable())
    assert calls.ledger.spent == [110 + 10]


async def test_a_call_whose_client_left_costs_what_came() -> None:
    calls = Calls(10_000)
    async with aclosing(calls.begin(WHO, "a" * 30, asyncio.Event(), is_streamed=True)) as pieces:
        assert [await anext(pieces), await anext(pieces)]
    assert calls.ledger.spent == [110 + 10]


async def test_a_limit_of_the_callers_own_is_what_is_set_aside() -> None:
    calls = Calls(10_000)
    brief = Prompt.from_text("x" * 300, max_output_tokens=7)
    await calls.make(WHO, "hi", reply(total_tokens=1), prompt=brief)
    assert calls.ledger.asked == [(101, 107)]
    assert calls.sent[-1].max_output_tokens == 7


@pytest.mark.seen("B11")
async def test_a_model_of_unknown_limits_is_told_one_only_near_the_end_of_the_day() -> None:
    calls = Calls(40_000)
    unknown = Model(id="m", owned_by="p")
    await calls.make(WHO, "hi", reply(total_tokens=10_000), model=unknown)
    assert calls.ledger.asked == [(111, 110 + 32_768)]
    assert calls.sent[-1].max_output_tokens is None
    await calls.make(WHO, "hi", reply(total_tokens=1), model=unknown)
    assert calls.sent[-1].max_output_tokens == 30_000 - 110


async def test_earlier_turns_sent_along_count_as_well() -> None:
    calls = Calls(10_000)
    turns = tuple(
        Message(role=role, text="z" * 30) for role in (Role.USER, Role.ASSISTANT, Role.USER)
    )
    await calls.make(WHO, "hi", reply(total_tokens=1), prompt=Prompt(messages=turns))
    assert calls.ledger.asked == [(31, 430)]


async def test_near_the_end_the_model_is_told_to_write_no_more_than_is_left() -> None:
    calls = Calls(700)
    first = calls.begin(WHO, "hi", asyncio.Event())
    await anext(first)
    assert calls.sent[-1].max_output_tokens is None
    await calls.make(WHO, "hi", reply(total_tokens=150))
    assert calls.sent[-1].max_output_tokens == 700 - 510 - 110
    with pytest.raises(RateLimited):
        await calls.make(WHO)
    assert len(calls.sent) == 2
    await first.aclose()


async def test_a_prompt_that_does_not_fit_into_the_day_is_refused_before_anybody_is_asked() -> None:
    calls = Calls(110)
    with pytest.raises(RateLimited) as refused:
        await calls.make(WHO)
    assert refused.value.retry_after_seconds > 1
    assert calls.sent == []
    assert calls.ledger.spent == []


@pytest.mark.parametrize(
    ("usages", "is_handed_over", "spent"),
    [
        ([Usage(total_tokens=77)], True, [0, 77]),
        ([Usage(total_tokens=77)], False, [110, 77]),
        ([None], True, [110, 110]),
        ([Usage(total_tokens=77), None], True, [110, 77]),
        ([], True, [110, 110]),
    ],
)
async def test_a_call_that_is_handed_over_is_charged_once(
    usages: list[Usage | None], is_handed_over: bool, spent: list[int]
) -> None:
    ledger = Ledger(10_000)
    attempts = [
        Attempt(provider="p", model="m", outcome="cancelled", seconds=1.0, usage=usage)
        for usage in usages
    ]
    first, second = a_chat_context(), a_chat_context()
    first.attempts += attempts
    second.earlier_attempts = tuple(attempts)
    first.is_sent = second.is_sent = True
    first.is_handed_over = is_handed_over
    (await TokenQuota(ledger).reserve("ana", PROMPT, MODEL)).settle(first)
    AnswerRecorder(second, PROMPT, FakeClock()).cancelled()
    (await TokenQuota(ledger).reserve("ana", PROMPT, MODEL)).settle(second)
    assert ledger.spent == spent
