"""A request with a key: carried out once, answered again, freed when nothing came of it, taken over after a crash."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.services.answer_events import AnswerEvents
from app.services.idempotency import IdempotencyService, IdempotentRequest
from domain.entities.caller import ANONYMOUS, Caller
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.idempotency import Fingerprint, IdempotencyKey, IdempotencyRecord
from domain.entities.interaction import Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from domain.exceptions import (
    ContentBlocked,
    DomainError,
    HistoryNotDurable,
    HistoryUnavailable,
    HistoryUnreadable,
    IdempotencyInProgress,
    IdempotencyMismatch,
    IdempotencyUnavailable,
    LLMTimeout,
    LLMUnavailable,
    RateLimited,
)
from domain.interfaces.idempotency import IdempotencyStore
from domain.use_cases.answer_prompt import AnswerPrompt
from domain.use_cases.read_interaction import ReadInteraction
from infra.idempotency.sqlite.store import open_sqlite_idempotency
from infra.ids import InteractionIds
from tests.fakes.clock import FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.model import Step, SteppingLLM

WHO = ProviderSelected(provider="p", model="m")
ANSWER: tuple[Step, ...] = (WHO, "All ", "is well.", Reply(finish_reason=FinishReason.STOP))
REQUEST = IdempotentRequest(key="k", route="/v1/chat", fingerprint=Fingerprint(current="2:f"))
OTHER = replace(REQUEST, fingerprint=Fingerprint(current="2:0"))
WHOLE_SECONDS = 59.0
LEASE_SECONDS = WHOLE_SECONDS + 10.0
DAY_SECONDS = 86_400.0


class Service:
    """Requests that are to be carried out once, and what they became."""

    def __init__(self, claims: IdempotencyStore, clock: FakeClock) -> None:
        self.clock = clock
        self.history = InMemoryHistory()
        self.claims = claims
        self.idempotency = IdempotencyService(
            store=claims, read_interaction=ReadInteraction(history=self.history), clock=clock
        )
        self.new_id = InteractionIds(clock)
        self.calls = 0
        self.answers: list[AnswerPrompt] = []
        self.require_durable = True

    def context(self, user_id: str = "ana", *, is_streamed: bool = False) -> ChatRequestContext:
        now = self.clock.monotonic()
        return ChatRequestContext(
            id=self.new_id(),
            user_id=user_id,
            model="m",
            started_seconds=now,
            first_text_deadline=Deadline(now + WHOLE_SECONDS),
            answer_deadline=Deadline(now + WHOLE_SECONDS),
            is_streamed=is_streamed,
        )

    async def send(
        self,
        *steps: Step,
        request: IdempotentRequest = REQUEST,
        caller: Caller = ANONYMOUS,
        context: ChatRequestContext | None = None,
    ) -> AnswerEvents:
        """Send the request to a model that plays `steps`."""
        context = context or self.context()
        answer_prompt = AnswerPrompt(
            llm=SteppingLLM(*steps),
            history=self.history,
            clock=self.clock,
            require_durable=self.require_durable,
        )
        self.answers.append(answer_prompt)

        async def run() -> AnswerEvents:
            self.calls += 1
            async for piece in answer_prompt(context, Prompt.from_text("hi", model="m")):
                yield piece

        return await self.idempotency(caller, context, request, run)

    async def ask(self, *steps: Step, **how: Any) -> Interaction:
        """Send it and return the interaction."""
        *_, last = [piece async for piece in await self.send(*(steps or ANSWER), **how)]
        assert isinstance(last, Interaction)
        return last

    async def settle(self) -> None:
        await self.idempotency.drain()
        for answer_prompt in self.answers:
            await answer_prompt.drain()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    clock = FakeClock()
    async with open_sqlite_idempotency(tmp_path, clock) as claims:
        yield Service(claims, clock)


async def test_sent_again_it_has_the_same_answer_and_nobody_is_asked(service: Service) -> None:
    first = await service.ask()
    context = service.context()
    again = [piece async for piece in await service.send(*ANSWER, context=context)]
    assert again == [WHO, "All is well.", first]
    assert (context.id, context.is_replayed, context.interaction) == (first.id, True, first)
    assert service.calls == 1
    assert list(service.history.kept) == [first.id]


async def test_an_empty_answer_is_replayed_without_a_word(service: Service) -> None:
    first = await service.ask(WHO, Reply(finish_reason=FinishReason.LENGTH))
    assert [piece async for piece in await service.send(*ANSWER)] == [WHO, first]


async def test_of_fifty_at_once_one_runs(service: Service) -> None:
    go_on = asyncio.Event()
    outcomes = [asyncio.create_task(service.ask(WHO, go_on, *ANSWER[1:])) for _ in range(50)]
    while sum(task.done() for task in outcomes) < 49:
        await asyncio.sleep(0.01)
    go_on.set()
    found = await asyncio.gather(*outcomes, return_exceptions=True)
    assert sum(isinstance(one, Interaction) for one in found) == 1
    assert sum(isinstance(one, IdempotencyInProgress) for one in found) == 49
    assert (service.calls, len(service.history.kept)) == (1, 1)
    assert (await service.ask()).id == next(iter(service.history.kept))


async def test_another_body_is_refused_running_or_done(service: Service) -> None:
    other = OTHER
    running = await service.send(*ANSWER)
    with pytest.raises(IdempotencyMismatch):
        await service.send(*ANSWER, request=other)
    assert [piece async for piece in running]
    with pytest.raises(IdempotencyMismatch):
        await service.send(*ANSWER, request=other)


async def test_another_caller_user_or_route_is_another_request(service: Service) -> None:
    someone = replace(ANONYMOUS, principal="key:1")
    ids = {
        (await service.ask()).id,
        (await service.ask(caller=someone)).id,
        (await service.ask(context=service.context("bob"))).id,
        (await service.ask(request=replace(REQUEST, route="/v1/chat/completions"))).id,
        (await service.ask(request=replace(REQUEST, key="other"))).id,
    }
    assert (len(ids), service.calls) == (5, 5)


FAILURES: list[DomainError] = [
    LLMUnavailable(),
    LLMTimeout(),
    HistoryUnavailable(),
    RateLimited(1.0),
]


@pytest.mark.parametrize("text", [(), ("some text",)])
@pytest.mark.parametrize("error", FAILURES)
async def test_after_a_failure_the_key_is_free(
    service: Service, error: DomainError, text: tuple[str, ...]
) -> None:
    with pytest.raises(type(error)):
        await service.ask(WHO, *text, error)
    second = await service.ask(request=OTHER)
    assert (second.text, service.calls) == ("All is well.", 2)


async def test_a_refusal_of_a_safety_filter_is_told_again(service: Service) -> None:
    with pytest.raises(ContentBlocked):
        await service.ask(ContentBlocked())
    context = service.context()
    pieces = await service.send(*ANSWER, context=context)
    assert context.is_replayed
    with pytest.raises(ContentBlocked):
        await anext(pieces)
    assert service.calls == 1


async def test_text_before_a_safety_filter_is_told_again(service: Service) -> None:
    first = await service.ask(WHO, "All ", Reply(finish_reason=FinishReason.CONTENT_FILTER))
    assert await service.ask() == first
    assert first.status is Status.BLOCKED


async def test_an_answer_that_was_cut_by_us_is_told_again(service: Service) -> None:
    cut = Reply(finish_reason=FinishReason.LENGTH, was_cut_at_limit=True)
    first = await service.ask(WHO, "All ", cut)
    assert await service.ask() == first
    assert first.status is Status.TRUNCATED


async def test_a_stream_whose_client_left_frees_the_key(service: Service) -> None:
    context = service.context(is_streamed=True)
    pieces = await service.send(WHO, "All ", asyncio.Event(), context=context)
    assert [await anext(pieces), await anext(pieces)] == [WHO, "All "]
    await pieces.aclose()
    await service.settle()
    second = await service.ask(request=OTHER)
    assert {one.status for one in service.history.kept.values()} == {
        Status.CLIENT_CANCELLED,
        Status.COMPLETED,
    }
    assert second.id != context.id


async def test_a_client_that_left_after_the_last_word_finds_its_answer(service: Service) -> None:
    context = service.context(is_streamed=True)
    pieces = await service.send(*ANSWER, context=context)
    async for piece in pieces:
        if isinstance(piece, Interaction):
            break
    await pieces.aclose()
    await service.settle()
    assert (await service.ask()).id == context.id
    assert service.calls == 1


async def test_a_cancelled_request_frees_the_key(service: Service) -> None:
    asking = asyncio.create_task(service.ask(WHO, asyncio.Event()))
    while not service.history.begun:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    await service.settle()
    assert (await service.ask()).status is Status.COMPLETED


async def test_an_answer_that_may_have_been_kept_all_the_same_is_never_kept_twice(
    service: Service,
) -> None:
    service.history.refuses = 1
    context = service.context()
    with pytest.raises(HistoryNotDurable):
        await service.ask(context=context)
    second = await service.ask()
    assert (second.id, service.calls) == (context.id, 2)
    assert list(service.history.kept) == [context.id]


async def crash(service: Service, fingerprint: str = REQUEST.fingerprint.current) -> str:
    """Leave behind what a process leaves that died while a provider was asked; return the interaction's id."""
    context = service.context()
    key = IdempotencyKey(principal="anonymous", user_id="ana", route=REQUEST.route, key=REQUEST.key)
    now = service.clock.now_milliseconds()
    claim = IdempotencyRecord(
        fingerprint=fingerprint,
        interaction_id=context.id,
        lease_until_milliseconds=now + round(LEASE_SECONDS * 1000),
        expires_milliseconds=now + round(DAY_SECONDS * 1000),
    )
    assert await service.claims.claim(key, claim, now_milliseconds=now) is None
    return context.id


async def test_the_lease_is_the_deadline_and_ten_seconds(service: Service) -> None:
    running = await service.send(*ANSWER)
    service.clock.advance(LEASE_SECONDS - 0.01)
    with pytest.raises(IdempotencyInProgress):
        await service.send(*ANSWER)
    service.clock.advance(0.01)
    assert await service.ask()
    await running.aclose()


async def test_after_a_crash_it_runs_again_as_the_same_interaction(service: Service) -> None:
    died = await crash(service)
    service.clock.advance(LEASE_SECONDS)
    assert (await service.ask()).id == died
    assert list(service.history.kept) == [died]
    assert (await service.ask()).id == died
    assert service.calls == 1


async def test_after_a_crash_behind_the_accept_the_answer_is_told_at_once(
    service: Service,
) -> None:
    died = await crash(service)
    first = (await service.ask(request=replace(REQUEST, key="other"))).id
    kept = replace(service.history.kept.pop(first), id=died)
    service.history.kept[died] = kept
    assert await service.ask() == kept
    assert service.calls == 1


async def test_after_a_crash_that_was_recorded_as_interrupted_it_runs_again(
    service: Service,
) -> None:
    died = await crash(service)
    await service.ask(request=replace(REQUEST, key="other"))
    template = next(iter(service.history.kept.values()))
    interrupted = replace(template, id=died, status=Status.INTERRUPTED, text="")
    service.history.kept[died] = interrupted
    with pytest.raises(IdempotencyInProgress):
        await service.ask()
    service.clock.advance(LEASE_SECONDS)
    del service.history.kept[
        died
    ]  # a store lets an outcome win over it; this one keeps what is there
    assert (await service.ask()).id == died


async def test_after_a_crash_between_a_failure_and_the_freeing_it_runs_as_another(
    service: Service,
) -> None:
    died = await crash(service)
    await service.ask(request=replace(REQUEST, key="other"))
    template = next(iter(service.history.kept.values()))
    failed = replace(template, id=died, status=Status.FAILED, error="providers-failed", text="")
    service.history.kept[died] = failed
    second = await service.ask()  # at once: it is known to be over
    assert second.id != died
    assert service.history.kept[died] == failed
    assert await service.ask() == second


async def test_of_many_who_find_it_dead_one_takes_over(service: Service) -> None:
    await crash(service)
    service.clock.advance(LEASE_SECONDS)
    go_on = asyncio.Event()
    outcomes = [asyncio.create_task(service.ask(WHO, go_on, *ANSWER[1:])) for _ in range(20)]
    while sum(task.done() for task in outcomes) < 19:
        await asyncio.sleep(0.01)
    go_on.set()
    found = await asyncio.gather(*outcomes, return_exceptions=True)
    assert sum(isinstance(one, IdempotencyInProgress) for one in found) == 19
    assert (service.calls, len(service.history.kept)) == (1, 1)


async def test_after_a_day_the_key_means_something_new_and_the_old_answer_stays(
    service: Service,
) -> None:
    first = await service.ask()
    service.clock.advance(DAY_SECONDS - 0.01)
    assert await service.ask() == first
    service.clock.advance(0.01)
    second = await service.ask(request=OTHER)
    assert second.id != first.id
    assert service.history.kept[first.id] == first


async def test_while_history_cannot_be_read_nothing_is_done(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.ask()

    async def away(user_id: str, interaction_id: str) -> Interaction | None:
        raise HistoryUnreadable

    monkeypatch.setattr(service.history, "find", away)
    with pytest.raises(IdempotencyUnavailable):
        await service.ask()
    assert service.calls == 1


async def test_a_claim_that_was_kept_although_it_failed_is_freed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = service.claims.claim

    async def kept_but_not_told(
        key: IdempotencyKey, mine: IdempotencyRecord, *, now_milliseconds: int
    ) -> None:
        await claim(key, mine, now_milliseconds=now_milliseconds)
        raise IdempotencyUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(service.claims, "claim", kept_but_not_told)
        with pytest.raises(IdempotencyUnavailable):
            await service.ask()
    await service.settle()
    assert await service.ask()


async def test_somebody_elses_interaction_is_never_told(service: Service) -> None:
    first = await service.ask()
    service.history.kept[first.id] = replace(first, user_id="bob")
    with pytest.raises(IdempotencyInProgress):
        await service.ask()


@pytest.mark.seen("D7")
@pytest.mark.parametrize("is_admitted", [True, False])
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_an_answer_given_without_being_kept_frees_its_key_at_once(
    service: Service, is_admitted: bool, is_streamed: bool
) -> None:
    service.require_durable = False
    service.history.is_full = not is_admitted
    service.history.refuses = 1
    context = service.context(is_streamed=is_streamed)
    async for piece in await service.send(*ANSWER, context=context):
        if isinstance(piece, Interaction):
            assert not context.is_stored
            service.history.is_full = False
            second = await service.ask()  # before the first caller has read its last word
    assert (second.id, service.calls) == (context.id, 2)
    assert list(service.history.kept) == [context.id]
    assert (await service.ask(), service.calls) == (second, 2)


@pytest.mark.seen("D7")
async def test_an_answer_that_turns_up_after_all_is_replayed_although_it_was_called_not_kept(
    service: Service,
) -> None:
    service.require_durable = False
    service.history.refuses = 1
    first = await service.ask()
    service.history.kept[first.id] = first
    assert (await service.ask(), service.calls) == (first, 1)


@pytest.mark.seen("D7")
async def test_a_safety_refusal_whose_record_is_lost_frees_its_key_at_once(
    service: Service,
) -> None:
    service.history.refuses = 2
    with pytest.raises(ContentBlocked):
        await service.ask(ContentBlocked())
    second = await service.ask()
    assert (second.text, service.calls) == ("All is well.", 2)


@pytest.mark.seen("D8")
async def test_a_claim_of_an_earlier_release_is_compared_in_its_own_form(service: Service) -> None:
    died = await crash(service, "f" * 64)
    service.clock.advance(LEASE_SECONDS)
    for first in (lambda: "0" * 64, lambda: None):
        other = replace(REQUEST, fingerprint=Fingerprint(current="2:f", first=first))
        with pytest.raises(IdempotencyMismatch):
            await service.ask(request=other)
    same = replace(REQUEST, fingerprint=Fingerprint(current="2:f", first=lambda: "f" * 64))
    answered = await service.ask(request=same)
    assert answered.id == died
    assert await service.ask(request=same) == answered


async def test_a_request_cancelled_while_its_key_is_claimed_leaves_the_key_free(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = service.claims.claim
    is_stored = asyncio.Event()

    async def slow(
        key: IdempotencyKey, mine: IdempotencyRecord, *, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        found = await claim(key, mine, now_milliseconds=now_milliseconds)
        is_stored.set()
        await asyncio.Event().wait()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(service.claims, "claim", slow)
        asking = asyncio.create_task(service.ask())
        await is_stored.wait()
        asking.cancel()
        await asyncio.wait([asking])
    await service.settle()
    assert await service.ask()


async def test_a_take_over_that_succeeded_without_saying_so_is_open_to_the_next_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = await crash(service)
    service.clock.advance(LEASE_SECONDS)
    replaced = service.claims.replace

    async def kept_but_not_told(
        key: IdempotencyKey, seen: IdempotencyRecord, claim: IdempotencyRecord
    ) -> bool:
        monkeypatch.setattr(service.claims, "replace", replaced)
        await replaced(key, seen, claim)
        raise IdempotencyUnavailable

    monkeypatch.setattr(service.claims, "replace", kept_but_not_told)
    with pytest.raises(IdempotencyUnavailable):
        await service.ask()
    await service.settle()
    assert (await service.ask()).id == died
