"""What was said before goes before the question, as far as the model's window reaches."""

import asyncio
from typing import Any

import pytest

from domain.entities.conversation import AddedItem, ConversationRecord, new_conversation_id
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction, Status
from domain.entities.items import Item, Text, ToolCall, ToolResult
from domain.entities.model import Model
from domain.entities.prompt import Message, Prompt, Role
from domain.exceptions import HistoryUnreadable, NotFound
from domain.use_cases.recall_conversation import RecallConversation
from tests.fakes.conversation_records import InMemoryConversationRecords
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction


def a_model(context_tokens: int | None = 1000, max_output_tokens: int | None = 100) -> Model:
    return Model(
        id="m", owned_by="p", context_tokens=context_tokens, max_output_tokens=max_output_tokens
    )


def a_chat_context(number: int, question: str, answer: str, **changes: object) -> Interaction:
    return an_interaction(
        number,
        **{
            "conversation_id": "c",
            "prompt": Prompt.from_text(question),
            "text": answer,
            **changes,
        },
    )


async def recalled(
    history: InMemoryHistory, prompt: Prompt, model: Model | None = None
) -> list[str]:
    """Return the texts sent, in order."""
    recall = RecallConversation(history=history)
    return [m.text for m in (await recall(prompt, "ana", "c", model or a_model())).messages]


async def a_history(*turns: Interaction) -> InMemoryHistory:
    history = InMemoryHistory()
    await history.append_many(turns)
    return history


async def test_earlier_turns_stand_before_the_question_oldest_first() -> None:
    history = await a_history(
        a_chat_context(1, "one", "1"),
        a_chat_context(3, "three", "3"),
        a_chat_context(2, "two", "2"),
    )
    prompt = Prompt.from_text("now", system="be short", temperature=0.5)
    recalled = await RecallConversation(history=history)(prompt, "ana", "c", a_model())
    assert recalled == Prompt(
        messages=(
            Message(role=Role.USER, text="one"),
            Message(role=Role.ASSISTANT, text="1"),
            Message(role=Role.USER, text="two"),
            Message(role=Role.ASSISTANT, text="2"),
            Message(role=Role.USER, text="three"),
            Message(role=Role.ASSISTANT, text="3"),
            Message(role=Role.USER, text="now"),
        ),
        system="be short",
        temperature=0.5,
    )
    assert recalled.for_storage() == prompt


async def test_a_new_conversation_is_the_question_itself() -> None:
    prompt = Prompt.from_text("now")
    recall = RecallConversation(history=await a_history())
    assert await recall(prompt, "ana", "c", a_model()) is prompt


async def test_only_this_user_and_this_conversation_are_recalled() -> None:
    history = await a_history(
        a_chat_context(1, "of bob", "x", user_id="bob"),
        a_chat_context(2, "of another", "x", conversation_id="d"),
        a_chat_context(3, "of none", "x", conversation_id=None),
        a_chat_context(4, "mine", "x"),
    )
    assert await recalled(history, Prompt.from_text("now")) == ["mine", "x", "now"]


@pytest.mark.seen("C12")
@pytest.mark.parametrize("text", ["x", ""])
@pytest.mark.parametrize("status", list(Status))
async def test_what_was_answered_cut_or_cancelled_is_recalled_and_what_failed_is_not(
    status: Status, text: str
) -> None:
    history = await a_history(
        a_chat_context(1, "first", "1"),
        a_chat_context(2, "then", text, status=status),
        a_chat_context(3, "last", "3"),
    )
    expected = ["first", "1", "last", "3", "now"]
    if status in (Status.COMPLETED, Status.TRUNCATED, Status.CLIENT_CANCELLED):
        said = ["then", "x", "last"] if text else ["then\n\nlast"]
        expected = ["first", "1", *said, "3", "now"]
    assert await recalled(history, Prompt.from_text("now")) == expected


@pytest.mark.seen("C12")
async def test_questions_without_an_answer_are_joined_to_the_new_one_and_not_kept_with_it() -> None:
    history = await a_history(
        *(a_chat_context(n, f"stopped {n}", "", status=Status.CLIENT_CANCELLED) for n in range(3))
    )
    prompt = Prompt.from_text("now", system="be short")
    sent = await RecallConversation(history=history)(prompt, "ana", "c", a_model())
    assert [(m.role, m.text) for m in sent.messages] == [
        (Role.USER, "stopped 0\n\nstopped 1\n\nstopped 2\n\nnow")
    ]
    assert sent.text == "now"
    assert sent.for_storage() == prompt


@pytest.mark.seen("C12")
async def test_what_stands_between_joined_questions_counts_for_the_window() -> None:
    history = await a_history(a_chat_context(1, "a" * 10, "", status=Status.CLIENT_CANCELLED))
    prompt = Prompt.from_text("n" * 12, max_output_tokens=1)
    assert await recalled(history, prompt, a_model(context_tokens=1 + 7)) == ["n" * 12]
    joined = "a" * 10 + "\n\n" + "n" * 12
    assert await recalled(history, prompt, a_model(context_tokens=1 + 8)) == [joined]


async def test_the_newest_turns_that_fit_are_kept_whole() -> None:
    history = await a_history(
        a_chat_context(1, "a" * 5, "b" * 5),
        a_chat_context(2, "c" * 20, "d" * 20),
        a_chat_context(3, "e" * 20, "f" * 20),
    )
    prompt = Prompt.from_text("n" * 10, system="s" * 10, max_output_tokens=100)

    async def fitting(window_tokens: int) -> int:
        model = a_model(context_tokens=100 + window_tokens)
        return len(await recalled(history, prompt, model)) // 2

    # 20 bytes are the question and the instructions; a turn is 40, the oldest 10; a token is three bytes.
    assert await fitting(6) == 0
    assert await fitting(19) == 0
    assert await fitting(20) == 1
    assert await fitting(33) == 1
    assert await fitting(34) == 2
    assert await fitting(36) == 2
    assert await fitting(37) == 3


async def test_bytes_are_counted_not_characters() -> None:
    history = await a_history(a_chat_context(1, "€" * 10, "€" * 10))
    prompt = Prompt.from_text("n" * 3, max_output_tokens=1)
    assert len(await recalled(history, prompt, a_model(context_tokens=1 + 20))) == 1
    assert len(await recalled(history, prompt, a_model(context_tokens=1 + 21))) == 3


async def test_a_turn_that_does_not_fit_ends_it_also_when_older_ones_would() -> None:
    history = await a_history(
        a_chat_context(1, "a", "b"), a_chat_context(2, "c" * 500, "d"), a_chat_context(3, "e", "f")
    )
    prompt = Prompt.from_text("now", max_output_tokens=1)
    assert await recalled(history, prompt, a_model(context_tokens=101)) == ["e", "f", "now"]


async def test_nothing_is_read_when_the_question_alone_fills_the_window() -> None:
    history = await a_history(a_chat_context(1, "one", "1"))
    prompt = Prompt.from_text("n" * 300, max_output_tokens=10)
    assert len(await recalled(history, prompt, a_model(context_tokens=110))) == 1
    assert history.searches == 0


async def test_a_model_that_may_fill_its_window_with_an_answer_still_remembers() -> None:
    history = await a_history(a_chat_context(1, "one", "1"))
    model = a_model(context_tokens=100, max_output_tokens=100)
    assert await recalled(history, Prompt.from_text("now"), model) == ["one", "1", "now"]


@pytest.mark.seen("B11")
@pytest.mark.parametrize("max_output_tokens", [None, 100, 10_000_000])
@pytest.mark.parametrize("context_tokens", [None, 40_000])
async def test_a_model_of_unknown_limits_is_told_what_was_said_before(
    context_tokens: int | None, max_output_tokens: int | None
) -> None:
    history = await a_history(a_chat_context(1, "one", "1"))
    model = a_model(context_tokens=context_tokens, max_output_tokens=max_output_tokens)
    assert await recalled(history, Prompt.from_text("now"), model) == ["one", "1", "now"]


@pytest.mark.seen("B11")
async def test_an_unknown_window_is_taken_for_one_of_128_000_tokens() -> None:
    history = await a_history(*(a_chat_context(n, "q" * 5_000, "a" * 5_000) for n in range(60)))
    model = a_model(context_tokens=None, max_output_tokens=None)

    async def turns(limit: int | None) -> int:
        prompt = Prompt.from_text("now", max_output_tokens=limit)
        return (len(await recalled(history, prompt, model)) - 1) // 2

    assert await turns(None) == (128_000 - 32_768) * 3 // 10_000
    assert await turns(1_000) == (128_000 - 1_000) * 3 // 10_000
    assert await turns(1_000_000) == 64_000 * 3 // 10_000  # never at the cost of all that was said


async def test_long_conversations_are_read_page_by_page() -> None:
    history = await a_history(*(a_chat_context(n, f"q{n}", f"a{n}") for n in range(120)))
    texts = await recalled(history, Prompt.from_text("now"), a_model(context_tokens=10_000))
    assert texts == [text for n in range(120) for text in (f"q{n}", f"a{n}")] + ["now"]
    assert history.searches == 3


async def test_reading_ends_once_the_window_is_full() -> None:
    history = await a_history(*(a_chat_context(n, "q" * 30, "a" * 30) for n in range(120)))
    prompt = Prompt.from_text("now", max_output_tokens=1)
    texts = await recalled(history, prompt, a_model(context_tokens=102))
    assert len(texts) == 2 * 5 + 1
    assert history.searches == 1


async def test_a_thousand_turns_are_the_most() -> None:
    history = await a_history(*(a_chat_context(n, "q", "a") for n in range(1001)))
    texts = await recalled(history, Prompt.from_text("now"), a_model(context_tokens=10_000))
    assert len(texts) == 2001


async def test_what_cannot_be_read_is_not_left_out() -> None:
    history = await a_history(a_chat_context(1, "one", "1"))
    history.is_unreadable = True
    with pytest.raises(HistoryUnreadable):
        await recalled(history, Prompt.from_text("now"))


async def test_a_store_that_hangs_is_one_that_cannot_be_read() -> None:
    class Hanging(InMemoryHistory):
        async def search(self, query: HistoryQuery) -> Page:
            await asyncio.Event().wait()
            raise AssertionError

    recall = RecallConversation(history=Hanging(), read_seconds=0.01)
    with pytest.raises(HistoryUnreadable):
        await recall(Prompt.from_text("now"), "ana", "c", a_model())


def an_item(number: int, role: Role, text: str, *items: Item, **fields: Any) -> AddedItem:
    """Return an item that was added by hand after interaction `number`."""
    its_id = an_id(number)[:-1] + "f"
    return AddedItem(id=its_id, message=Message(role=role, text=text, items=items), **fields)


def with_items(conversation_id: str, *items: AddedItem) -> InMemoryConversationRecords:
    records = InMemoryConversationRecords()
    records.kept["ana", conversation_id] = ConversationRecord(
        user_id="ana",
        conversation_id=conversation_id,
        created_id=an_id(),
        changed_id=an_id(),
        items=items,
    )
    return records


async def test_items_added_by_hand_are_at_their_place() -> None:
    history = await a_history(a_chat_context(1, "one", "1"), a_chat_context(5, "five", "5"))
    call = ToolCall(id="c", name="f", arguments="{}")
    records = with_items(
        "c",
        an_item(0, Role.USER, "before"),
        an_item(0, Role.USER, "Be brief.", is_instruction=True),
        an_item(2, Role.ASSISTANT, "wait"),
        an_item(3, Role.ASSISTANT, "", call),
        an_item(4, Role.USER, "", ToolResult(call_id="c", output="42")),
        an_item(6, Role.USER, "after"),
    )
    recall = RecallConversation(history=history, records=records)
    prompt = Prompt.from_text("now", system="In French.")
    recalled = await recall(prompt, "ana", "c", a_model())
    assert recalled.system == "Be brief.\n\nIn French."
    assert [(message.role, message.text) for message in recalled.messages] == [
        (Role.USER, "before\n\none"),
        (Role.ASSISTANT, "1"),
        (Role.ASSISTANT, "wait"),
        (Role.USER, "five"),
        (Role.ASSISTANT, "5"),
        (Role.USER, "after\n\nnow"),
    ]
    assert recalled.messages[2].items == (Text(text="wait"), call)
    assert recalled.messages[3].items[0] == ToolResult(call_id="c", output="42")
    assert recalled.for_storage() == prompt


async def test_new_results_answer_calls_that_were_added_by_hand() -> None:
    call = ToolCall(id="c", name="f", arguments="{}")
    records = with_items("c", an_item(1, Role.ASSISTANT, "", call))
    recall = RecallConversation(history=InMemoryHistory(), records=records)
    result = ToolResult(call_id="c", output="42")
    prompt = Prompt(messages=(Message(role=Role.USER, text="", items=(result,)),))
    recalled = await recall(prompt, "ana", "c", a_model())
    assert [message.items for message in recalled.messages] == [(call,), (result,)]


async def test_items_that_do_not_fit_are_left_out() -> None:
    records = with_items("c", an_item(1, Role.USER, "x" * 3000), an_item(2, Role.USER, "fits"))
    recall = RecallConversation(history=InMemoryHistory(), records=records)
    recalled = await recall(Prompt.from_text("now"), "ana", "c", a_model())
    assert [message.text for message in recalled.messages] == ["fits\n\nnow"]


async def test_a_branch_sees_no_items_added_after_it() -> None:
    history = await a_history(a_chat_context(1, "one", "1"), a_chat_context(3, "three", "3"))
    records = with_items("c", an_item(0, Role.USER, "before"), an_item(2, Role.USER, "between"))
    recall = RecallConversation(history=history, records=records)
    until = a_chat_context(1, "one", "1")
    recalled = await recall(Prompt.from_text("now"), "ana", "c", a_model(), until=until)
    assert [m.text for m in recalled.messages] == ["before\n\none", "1", "now"]


async def test_an_erased_conversation_that_had_a_record_is_not_begun_anew() -> None:
    erased = new_conversation_id(an_id())
    recall = RecallConversation(history=InMemoryHistory(), records=InMemoryConversationRecords())
    with pytest.raises(NotFound):
        await recall(Prompt.from_text("now"), "ana", erased, a_model())
    created = RecallConversation(history=InMemoryHistory(), records=with_items(erased))
    recalled = await created(Prompt.from_text("now"), "ana", erased, a_model())
    assert recalled == Prompt.from_text("now")


async def test_without_the_store_only_a_conversation_created_with_a_record_fails() -> None:
    created = new_conversation_id(an_id())
    turns = [a_chat_context(n, "one", "1", conversation_id=c) for n, c in ((1, "c"), (2, created))]
    records = with_items("c")
    records.is_away = True
    recall = RecallConversation(history=await a_history(*turns), records=records)
    recalled = await recall(Prompt.from_text("now"), "ana", "c", a_model())
    assert [m.text for m in recalled.messages] == ["one", "1", "now"]
    with pytest.raises(HistoryUnreadable):
        await recall(Prompt.from_text("now"), "ana", created, a_model())
