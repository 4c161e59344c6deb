"""Long texts stay in the row of the interaction while the attachment store is silent; attachments wait for it."""

import asyncio
from dataclasses import replace

import pytest

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.items import Attachment, ToolCall, ToolResult
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, ProviderSelected, Reply, Usage
from domain.entities.tools import Tool
from domain.interfaces.attachments import StoredContent
from domain.use_cases.accept_attachments import AcceptAttachments
from domain.use_cases.answer_prompt import AnswerPrompt
from domain.use_cases.store_long_arguments import StoreLongArguments
from infra.clock import SystemClock
from tests.fakes.attachments import InMemoryAttachments
from tests.fakes.contents import LONG
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.model import SteppingLLM

CLOCK = SystemClock()
SHORT_SECONDS = 0.05
ENOUGH_SECONDS = 60.0
QUESTION = Message(role=Role.USER, text="What is it?")
CALLS = tuple(
    ToolCall(id=f"call_{number}", name="find", arguments=f"{number}{LONG}") for number in range(20)
)


class MeetingStore(InMemoryAttachments):
    """Completes a `put` only when so many have begun."""

    def __init__(self, parties: int) -> None:
        super().__init__()
        self._barrier = asyncio.Barrier(parties)

    async def put(
        self, user_id: str, attachment_id: str, content: StoredContent, *, interaction_id: str
    ) -> bool:
        await self._barrier.wait()
        return await super().put(user_id, attachment_id, content, interaction_id=interaction_id)


@pytest.fixture
def silent() -> InMemoryAttachments:
    store = InMemoryAttachments()
    store.is_silent = True
    return store


def a_prompt_with_long_texts() -> Prompt:
    results = tuple(
        ToolResult(call_id=f"call_{number}", output=f"{number}{LONG}") for number in range(3)
    )
    return Prompt(
        messages=(Message(role=Role.USER, text="", items=results),),
        system=f"Be brief. {LONG}",
        tools=(Tool(name="find", description=LONG),),
    )


async def test_long_texts_of_a_request_are_refused_together(silent: InMemoryAttachments) -> None:
    accept = AcceptAttachments(silent, max_text_seconds=SHORT_SECONDS)
    accepted = await accept.check(a_prompt_with_long_texts(), "ana")
    async with asyncio.timeout(ENOUGH_SECONDS):
        refused = await accept.store_all(accepted, "ana", an_id())
    prompt = accepted.prompt
    ids = {result.content_id for result in prompt.results}
    assert refused == {*ids, prompt.system_content_id, prompt.tools_content_id}
    assert len(refused) == 5


async def test_long_texts_are_stored_concurrently() -> None:
    store = MeetingStore(5)
    accept = AcceptAttachments(store, max_text_seconds=ENOUGH_SECONDS)
    accepted = await accept.check(a_prompt_with_long_texts(), "ana")
    assert await accept.store_all(accepted, "ana", an_id()) == frozenset()
    assert len(store.kept) == 5


async def test_an_attachment_is_not_given_up(silent: InMemoryAttachments) -> None:
    accept = AcceptAttachments(silent, max_text_seconds=SHORT_SECONDS)
    image = Attachment(media_type="image/png", content=b"image")
    message = replace(QUESTION, items=(image,))
    accepted = await accept.check(Prompt(messages=(message,), system=LONG), "ana")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4 * SHORT_SECONDS):
            await accept.store_all(accepted, "ana", an_id())


async def test_arguments_stay_in_the_row(silent: InMemoryAttachments) -> None:
    turn = an_interaction(items=CALLS)
    async with asyncio.timeout(ENOUGH_SECONDS):
        assert await StoreLongArguments(silent, SHORT_SECONDS)(turn) == turn


async def test_all_arguments_are_stored_by_a_store_that_answers() -> None:
    store = InMemoryAttachments()
    stored = await StoreLongArguments(store)(an_interaction(items=CALLS))
    assert set(stored.content_ids) == {content_id for _, content_id in store.kept}
    assert len(store.kept) == len(CALLS)


async def test_an_answer_with_long_arguments_is_stored_although_its_time_is_over(
    silent: InMemoryAttachments,
) -> None:
    """The attachment store takes all of the time that is left for the append, and more."""
    history = InMemoryHistory()
    end = Reply(finish_reason=FinishReason.TOOL_CALLS, usage=Usage())
    answer = AnswerPrompt(
        llm=SteppingLLM(ProviderSelected(provider="p", model="m"), CALLS[0], end),
        history=history,
        clock=CLOCK,
        store_long_arguments=StoreLongArguments(silent, max_seconds=1.2),
    )
    deadline = Deadline(CLOCK.monotonic())
    context = ChatRequestContext(
        id=an_id(),
        user_id="ana",
        model="m",
        started_seconds=CLOCK.monotonic(),
        first_text_deadline=deadline,
        answer_deadline=deadline,
    )
    [_ async for _ in answer(context, Prompt(messages=(QUESTION,)))]
    assert context.is_stored
    assert history.kept[context.id].items == CALLS[:1]
