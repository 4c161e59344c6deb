"""Calls and results stay together in what is recalled, whatever was cut, erased or left unanswered."""

import asyncio
import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction, Status
from domain.entities.items import (
    LONG_TEXT,
    LONG_TEXT_BYTES,
    NOT_CARRIED_OUT,
    RESULTS_WITHOUT_CALLS,
    Item,
    Text,
    ToolCall,
    ToolResult,
    attachment_id,
    not_carried_out,
    tool_calls,
    tool_results,
)
from domain.entities.model import Model
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason
from domain.exceptions import HistoryUnreadable, NoSuchOpenCall, NotFound
from domain.interfaces.attachments import StoredContent
from domain.use_cases.load_contents import LoadContents
from domain.use_cases.recall_conversation import RecallConversation
from infra.llm.providers.gemini.request import request_body as gemini_body
from infra.llm.providers.openai.request import request_body as openai_body
from infra.llm.transport.dialect import Dialect
from infra.selftest.request_rules import check_gemini, check_openai
from tests.fakes.attachments import InMemoryAttachments
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

LOOP = 3
"""Turns of a tool loop: a question and its call, results and another call, results and the answer."""


def a_call(number: int, part: str = "") -> ToolCall:
    return ToolCall(id=f"call_{number}{part}", name="look_up", arguments=f'{{"n":{number}}}')


def results_of(calls: Iterable[ToolCall]) -> tuple[ToolResult, ...]:
    return tuple(ToolResult(call_id=call.id, output=f"found for {call.id}") for call in calls)


def a_message(text: str = "", *items: Item) -> Message:
    texts = (Text(text=text),) if text and items else ()
    return Message(role=Role.USER, text=text, items=(*items, *texts))


def a_turn(number: int, message: Message, *calls: ToolCall, **changes: Any) -> Interaction:
    return an_interaction(
        number,
        **{
            "conversation_id": "c",
            "previous_id": an_id(number - 1) if number else None,
            "prompt": Prompt(messages=(message,)),
            "text": "" if calls else f"answer {number}",
            "items": calls,
            "finish_reason": FinishReason.TOOL_CALLS if calls else FinishReason.STOP,
            **changes,
        },
    )


def loops(turns: int) -> list[Interaction]:
    """Return turns of loops with two parallel calls each."""
    made = []
    calls: tuple[ToolCall, ...] = ()
    for number in range(turns):
        message = a_message("" if calls else f"question {number}", *results_of(calls))
        is_last = number % LOOP == LOOP - 1
        calls = () if is_last else (a_call(number), a_call(number, "b"))
        made.append(a_turn(number, message, *calls))
    return made


async def recalled(
    turns: Iterable[Interaction],
    prompt: Prompt,
    *,
    context_tokens: int | None = 100_000,
    until: Interaction | None = None,
) -> Prompt:
    """Return the prompt with its conversation, checked by both providers' rules."""
    history = InMemoryHistory()
    await history.append_many(list(turns))
    model = Model(id="m", owned_by="p", context_tokens=context_tokens, max_output_tokens=1)
    found = await RecallConversation(history=history)(prompt, "ana", "c", model, until=until)
    check_gemini(orjson.loads(gemini_body(found, upstream="gemini-3-pro", family="f")))
    check_openai(orjson.loads(openai_body(found, Dialect(), model="m", family="f")))
    roles = [message.role for message in found.messages]
    assert all(before is not after for before, after in itertools.pairwise(roles)), roles
    return found


def calls_in(prompt: Prompt) -> list[str]:
    return [call.id for message in prompt.messages for call in tool_calls(message.items)]


def outputs_in(prompt: Prompt) -> dict[str, str]:
    return {
        result.call_id: result.output
        for message in prompt.messages
        for result in tool_results(message.items)
    }


QUESTION = Prompt.from_text("now?")


async def test_a_conversation_of_200_turns_with_tools_is_recalled_whole() -> None:
    turns = loops(201)
    found = await recalled(turns, QUESTION)
    assert calls_in(found) == [call.id for turn in turns for call in turn.tool_calls]
    assert NOT_CARRIED_OUT not in set(outputs_in(found).values())
    assert found.results == ()


@pytest.mark.parametrize("turns", range(1, 2 * LOOP + 2))
async def test_the_window_never_cuts_between_a_call_and_its_result(turns: int) -> None:
    made = loops(turns)
    open_calls = made[-1].tool_calls
    prompts = [QUESTION]
    if open_calls:
        prompts.append(Prompt(messages=(a_message("", *results_of(open_calls)),)))
    for prompt in prompts:
        sizes = set()
        for context_tokens in range(2, 220, 2):
            found = await recalled(made, prompt, context_tokens=context_tokens)
            sizes.add(len(found.messages))
            made_calls = calls_in(found)
            outputs = outputs_in(found)
            assert list(outputs) == made_calls
            if prompt.results:
                assert made_calls[-2:] == [call.id for call in open_calls], context_tokens
                assert NOT_CARRIED_OUT not in outputs.values()
        assert max(sizes) == 2 * turns + 1


class CountedContents(InMemoryAttachments):
    """Notes the ids of the contents that are read; `hangs` makes reads wait forever."""

    def __init__(self) -> None:
        super().__init__()
        self.read_ids: list[str] = []
        self.hangs = False

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        if self.hangs:
            await asyncio.Event().wait()
        self.read_ids.append(attachment_id)
        return await super().get(user_id, attachment_id)


PAIR_BYTES = 2 * LONG_TEXT_BYTES


async def with_long_texts(
    pairs: int, **limits: float
) -> tuple[RecallConversation, CountedContents, list[str]]:
    """Return a conversation with texts that are stored apart, and their ids, oldest first.

    Of each two turns, the first has a question and a call with long arguments, the second the long result and an
    answer: together `PAIR_BYTES` and a few more.
    """
    history, contents = InMemoryHistory(), CountedContents()
    ids = []
    for number in range(0, 2 * pairs, 2):
        for at, kind in ((number, "arguments"), (number + 1, "output")):
            content = f"{kind} {number} ".ljust(LONG_TEXT_BYTES, "x").encode()
            stored = StoredContent(media_type=LONG_TEXT, content=content)
            ids.append(attachment_id("ana", content))
            await contents.put("ana", ids[-1], stored, interaction_id=an_id(at))
        call = replace(a_call(number), arguments="", content_id=ids[-2])
        result = ToolResult(call_id=call.id, output="", content_id=ids[-1])
        await history.append(a_turn(number, a_message(f"question {number}"), call))
        await history.append(a_turn(number + 1, a_message("", result)))
    recall = RecallConversation(history=history, load_contents=LoadContents(contents), **limits)
    return recall, contents, ids


def window_of(pairs: float) -> Model:
    tokens = int(pairs * PAIR_BYTES) // 3
    return Model(id="m", owned_by="p", context_tokens=tokens, max_output_tokens=1)


@pytest.mark.parametrize("fitting", [1, 5, 30])
async def test_texts_that_are_stored_apart_count_in_the_window(fitting: int) -> None:
    recall, contents, ids = await with_long_texts(100)
    found = await recall(QUESTION, "ana", "c", window_of(fitting + 0.5))
    assert calls_in(found) == [f"call_{number}" for number in range(200 - 2 * fitting, 200, 2)]
    assert {len(output) for output in outputs_in(found).values()} == {LONG_TEXT_BYTES}
    kept_ids = ids[-2 * fitting :]
    # Turns are loaded one, two, four and then eight at once.
    assert set(kept_ids) < set(contents.read_ids) <= set(ids[-2 * fitting - 8 :])
    assert len(contents.read_ids) == len(set(contents.read_ids))


async def test_texts_that_are_no_longer_stored_take_no_space() -> None:
    recall, contents, ids = await with_long_texts(4)
    for content_id in ids[-2:]:
        del contents.kept["ana", content_id]
    found = await recall(QUESTION, "ana", "c", window_of(2.5))
    assert calls_in(found) == ["call_2", "call_4", "call_6"]
    assert outputs_in(found)["call_6"] == ""


async def test_contents_that_take_too_long_are_ones_that_cannot_be_read() -> None:
    recall, contents, _ = await with_long_texts(1, read_seconds=0.05)
    contents.hangs = True
    with pytest.raises(HistoryUnreadable):
        await asyncio.wait_for(recall(QUESTION, "ana", "c", window_of(2)), timeout=30)


async def test_a_loop_longer_than_what_is_recalled_goes_on() -> None:
    turns = [
        a_turn(number, a_message("" if number else "question", *results), a_call(number))
        for number in range(1002)
        for results in [results_of([a_call(number - 1)] if number else [])]
    ]
    results = Prompt(messages=(a_message("", *results_of(turns[-1].tool_calls)),))
    found = await recalled(turns, results)
    assert calls_in(found) == [f"call_{number}" for number in range(2, 1002)]
    assert found.results == results.results
    assert found.messages[0].text == RESULTS_WITHOUT_CALLS


async def test_erased_turns_leave_nothing_dangling() -> None:
    made = loops(2 * LOOP + 1)
    for count in range(len(made)):
        for erased in itertools.combinations(range(len(made)), count):
            left = [turn for number, turn in enumerate(made) if number not in erased]
            found = await recalled(left, QUESTION)
            assert calls_in(found) == [call.id for turn in left for call in turn.tool_calls]
            if left[-1].tool_calls:
                ids = {call.id for call in left[-1].tool_calls}
                assert {result.call_id for result in found.results} == ids
                await recalled(
                    left, Prompt(messages=(a_message("", *results_of(left[-1].tool_calls)),))
                )


async def test_erased_turns_of_a_long_conversation_leave_nothing_dangling() -> None:
    chance = random.Random(1)
    made = loops(200)
    for context_tokens in (50, 500, 5000, 100_000):
        for share in (0.02, 0.5, 0.9):
            left = [turn for turn in made if chance.random() > share]
            await recalled(left, QUESTION, context_tokens=context_tokens)


async def test_results_whose_calls_were_erased_are_replaced_by_a_text() -> None:
    first, second, third = loops(LOOP)
    found = await recalled([second, third], QUESTION)
    assert found.messages[0].text == RESULTS_WITHOUT_CALLS
    assert outputs_in(found) == {call.id: f"found for {call.id}" for call in second.tool_calls}
    found = await recalled([first, third], QUESTION)
    assert outputs_in(found) == dict.fromkeys(
        [call.id for call in first.tool_calls], NOT_CARRIED_OUT
    )


async def test_results_that_two_requests_sent_at_once_are_recalled_once() -> None:
    called, answered, _ = loops(LOOP)
    again = replace(answered, id=an_id(2), items=(a_call(2),))
    found = await recalled([called, answered, again], QUESTION)
    assert calls_in(found) == [
        call.id for turn in (called, answered, again) for call in turn.tool_calls
    ]
    assert [result.call_id for result in found.results] == ["call_2"]


async def test_results_on_a_branch_do_not_disturb_the_conversation() -> None:
    called, *_ = loops(1)
    settled = a_turn(1, a_message("never mind", *not_carried_out(called.tool_calls)))
    branch = a_turn(
        2, a_message("", *results_of(called.tool_calls)), a_call(2), previous_id=called.id
    )
    found = await recalled([called, settled, branch], QUESTION)
    assert [result.call_id for result in found.results] == ["call_2"]
    on_branch = await recalled([called, settled, branch], QUESTION, until=branch)
    assert outputs_in(on_branch)["call_0"] == "found for call_0"


async def test_turns_without_an_answer_between_calls_and_results_change_nothing() -> None:
    called, answered, _ = loops(LOOP)
    unanswered = [
        a_turn(number, a_message("never mind"), text="", status=status)
        for number, status in enumerate(
            (Status.FAILED, Status.INTERRUPTED, Status.IN_PROGRESS), start=1
        )
    ]
    results = Prompt(messages=answered.prompt.messages)
    found = await recalled([called, *unanswered], results)
    assert outputs_in(found) == {call.id: f"found for {call.id}" for call in called.tool_calls}


async def test_a_cancelled_turn_without_an_answer_settles_the_calls_once() -> None:
    called = loops(1)[0]
    message = a_message("never mind", *not_carried_out(called.tool_calls))
    cancelled = a_turn(1, message, text="", status=Status.CLIENT_CANCELLED)
    found = await recalled([called, cancelled], QUESTION)
    assert found.text == "now?"
    assert found.results == ()
    assert list(outputs_in(found)) == [call.id for call in called.tool_calls]
    *_, last = found.messages
    assert last.text == "never mind\n\nnow?"


@pytest.mark.parametrize("at", range(2 * LOOP))
async def test_a_branch_from_any_turn_is_valid(at: int) -> None:
    made = loops(2 * LOOP)
    parent = made[at]
    settled = await recalled(made, QUESTION, until=parent)
    assert len(settled.results) == len(parent.tool_calls)
    if parent.tool_calls:
        results = Prompt(messages=(a_message("", *results_of(parent.tool_calls)),))
        found = await recalled(made, results, until=parent)
        assert calls_in(found)[-2:] == [call.id for call in parent.tool_calls]
        assert NOT_CARRIED_OUT not in outputs_in(found).values()


async def test_a_text_of_the_assistant_after_open_calls_does_not_take_their_results() -> None:
    (called,) = loops(1)
    answer = Message(role=Role.ASSISTANT, text="wait")
    prompt = Prompt(messages=(answer, a_message("go on")), keeps_input=True)
    settled = dict.fromkeys([call.id for call in called.tool_calls], NOT_CARRIED_OUT)
    at_once = await recalled([called], prompt)
    assert outputs_in(at_once) == settled
    assert at_once.messages[-2:] == prompt.messages
    assert at_once.for_storage().messages == prompt.messages
    later = await recalled([called, a_turn(1, a_message(), prompt=prompt)], QUESTION)
    assert outputs_in(later) == settled
    assert later.messages[: len(at_once.messages)] == at_once.messages


async def test_a_failed_turn_that_was_continued_is_recalled_at_no_later_turn() -> None:
    failed = a_turn(0, a_message("too much"), text="", conversation_id=None, status=Status.FAILED)
    continued = a_turn(1, a_message("less"), conversation_id=failed.id)
    history = InMemoryHistory()
    await history.append_many([failed, continued])
    recall = RecallConversation(history=history)
    for parent in (failed, continued):
        found = await recall(QUESTION, "ana", failed.id, MODEL, until=parent)
        assert "too much" not in found.messages[0].text


class LateHistory(InMemoryHistory):
    """Shows an interaction only after several reads, as a store behind a queue does."""

    reads_before = 3

    async def search(self, query: HistoryQuery) -> Page:
        page = await super().search(query)
        if self.searches > self.reads_before:
            return page
        return Page(interactions=[], next_id=None)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        self.searches += 1
        if self.searches > self.reads_before:
            return await super().find(user_id, interaction_id)
        return None

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        self.searches += self.reads_before
        return await super().wait_for(user_id, interaction_id, seconds=0.0)


MODEL = Model(id="m", owned_by="p")


async def test_results_wait_for_their_calls_on_the_way_to_the_store() -> None:
    (called,) = loops(1)
    history = LateHistory()
    await history.append(called)
    recall = RecallConversation(history=history, late_seconds=3.0)
    results = Prompt(messages=(a_message("", *results_of(called.tool_calls)),))
    found = await recall(results, "ana", "c", MODEL)
    assert calls_in(found) == [call.id for call in called.tool_calls]
    assert (await recall.parent("ana", called.id)).id == called.id


@pytest.mark.parametrize(("late_seconds", "searches"), [(0.0, 1), (0.1, 3)])
async def test_results_of_unknown_calls_are_refused_in_the_end(
    late_seconds: float, searches: int
) -> None:
    history = InMemoryHistory()
    await history.append_many(loops(LOOP))
    recall = RecallConversation(history=history, late_seconds=late_seconds)
    results = Prompt(messages=(a_message("", *results_of([a_call(9)])),))
    with pytest.raises(NoSuchOpenCall):
        await recall(results, "ana", "c", MODEL)
    assert history.searches == searches


async def test_a_parent_is_waited_for() -> None:
    (called,) = loops(1)
    history = LateHistory()
    await history.append(called)
    with pytest.raises(NotFound):
        await RecallConversation(history=history).parent("ana", called.id)
    history.searches = 0
    recall = RecallConversation(history=history, late_seconds=3.0)
    assert (await recall.parent("ana", called.id)).id == called.id
    with pytest.raises(NotFound):
        await recall.parent("bob", called.id)


class LateOutcome(InMemoryHistory):
    """Shows interactions as in progress in the first reads, as a store whose outcomes are still in a queue does."""

    reads_before = 2

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        found = await super().find(user_id, interaction_id)
        self.searches += 1
        if found is None or self.searches > self.reads_before:
            return found
        return replace(found, status=Status.IN_PROGRESS, text="")


async def test_the_outcome_of_a_parent_is_waited_for() -> None:
    history = LateOutcome()
    await history.append(an_interaction(1))
    with pytest.raises(NotFound):
        await RecallConversation(history=history).parent("ana", an_id(1))
    assert history.searches == 1
    recall = RecallConversation(history=history, late_seconds=3.0)
    assert await recall.parent("ana", an_id(1)) == an_interaction(1)
    history.searches = -1000
    impatient = RecallConversation(history=history, late_seconds=0.1)
    with pytest.raises(NotFound):
        await impatient.parent("ana", an_id(1))
