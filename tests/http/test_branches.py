"""Continuations of an interaction by its id: `previousId`."""

from dataclasses import replace

import httpx2
import pytest

from domain.entities.interaction import Status
from domain.entities.items import ToolResult
from domain.entities.prompt import Role
from domain.exceptions import LLMUnavailable
from tests.fakes.application import ApplicationUnderTest
from tests.fakes.interactions import an_id
from tests.http.tool_chats import (
    ANSWER,
    CALLING,
    RESULTS,
    SELECTED,
    STOP,
    TOOLS,
    application,
    chat,
    errors_of,
    newest,
)

WARM = "It is 22 °C."


async def ask(client: httpx2.AsyncClient, question: str, **body: object) -> str:
    """Return the id of the interaction of an answered question."""
    response = await chat(client, userPrompt=question, **body)
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def sent(app: ApplicationUnderTest) -> list[str]:
    """Return the texts that went to the model last."""
    return [message.text for message in app.llm.asked[-1].messages]


async def test_a_question_alone_begins_a_conversation_when_it_is_continued() -> None:
    app = application()
    async with app.client() as client:
        first = await ask(client, "one")
        second = await ask(client, "two", previousId=first.upper())
        assert sent(app) == ["one", WARM, "two"]
        assert newest(app).previous_id == first
        assert newest(app).conversation_id == first
        await ask(client, "three", previousId=second)
        assert sent(app) == ["one", WARM, "two", WARM, "three"]
        await ask(client, "four", conversationId=first)
    assert sent(app)[:2] == ["one", WARM]
    assert sent(app)[-1] == "four"


async def test_a_branch_has_the_turns_up_to_the_one_it_names() -> None:
    app = application()
    async with app.client() as client:
        one = await ask(client, "one", conversationId="c")
        two = await ask(client, "two", conversationId="c")
        await ask(client, "three", conversationId="c")
        other = await ask(client, "another two", previousId=one)
        assert sent(app) == ["one", WARM, "another two"]
        assert newest(app).conversation_id == "c"
        await ask(client, "another three", previousId=other)
        assert sent(app) == ["one", WARM, "another two", WARM, "another three"]
        await ask(client, "a third three", previousId=two)
    assert sent(app) == ["one", WARM, "two", WARM, "a third three"]


async def test_results_are_welcome_on_a_branch_from_before_the_calls_were_settled() -> None:
    app = application(CALLING)
    async with app.client() as client:
        called = await ask(client, "one", tools=TOOLS, conversationId="c")
        await ask(client, "never mind", conversationId="c")
        await ask(client, "two", previousId=called, toolResults=RESULTS)
    *_, answered = app.llm.asked[-1].messages
    assert [item.call_id for item in answered.items if isinstance(item, ToolResult)] == [
        *("call_1", "call_2"),
    ]
    assert sent(app) == ["one", "", "two"]


async def test_results_alone_continue_a_turn_outside_of_any_conversation() -> None:
    app = application(CALLING)
    async with app.client() as client:
        called = await ask(client, "one", tools=TOOLS)
        response = await chat(client, userPrompt=None, previousId=called, toolResults=RESULTS)
    assert response.status_code == 200
    assert [message.role for message in app.llm.asked[-1].messages] == [
        *(Role.USER, Role.ASSISTANT, Role.USER),
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_interaction_and_that_of_another_user_are_not_found(stream: bool) -> None:
    app = application()
    async with app.client() as client:
        bobs = await ask(client, "one", userId="bob")
        for previous_id in (bobs, an_id(1), "6ba7b810-9dad-11d1-80b4-00c04fd430c8"):
            response = await chat(client, previousId=previous_id, stream=stream)
            assert response.status_code == 404, response.text
            assert response.json()["type"] == "/problems/not-found"
    assert len(app.llm.asked) == len(app.history.kept) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_in_progress_is_not_continued(stream: bool) -> None:
    app = application()
    async with app.client() as client:
        first = await ask(client, "one")
        app.history.kept[first] = replace(app.history.kept[first], status=Status.IN_PROGRESS)
        response = await chat(client, previousId=first, stream=stream)
        assert response.status_code == 404, response.text
        assert response.json()["type"] == "/problems/not-found"
    assert len(app.llm.asked) == len(app.history.kept) == 1


async def test_a_conversation_and_a_branch_exclude_each_other() -> None:
    app = application()
    async with app.client() as client:
        first = await ask(client, "one", conversationId="c")
        response = await chat(client, previousId=first, conversationId="c")
    assert errors_of(response) == {"/previousId": "not together with conversationId"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_of_a_continuation_that_was_not_found_is_free_again(stream: bool) -> None:
    app = application()
    key = {"Idempotency-Key": "k"}
    async with app.client() as client:
        missing = await chat(client, headers=key, previousId=an_id(1), stream=stream)
        first = await ask(client, "one")
        found = await chat(client, headers=key, previousId=first, stream=stream)
    assert (missing.status_code, found.status_code) == (404, 200)


async def test_a_turn_that_failed_adds_nothing_to_what_continues_it() -> None:
    app = application(ANSWER, (SELECTED, LLMUnavailable("p broke off")))
    async with app.client() as client:
        await ask(client, "one", conversationId="c")
        await chat(client, userPrompt="two", conversationId="c")
        failed = newest(app)
        await ask(client, "three", previousId=failed.id)
    assert failed.status is Status.FAILED
    assert sent(app) == ["one", WARM, "three"]


async def test_a_turn_that_failed_is_passed_over_wherever_it_is_in_a_branch() -> None:
    app = application(ANSWER, ANSWER, ANSWER, (SELECTED, LLMUnavailable("p broke off")), ANSWER)
    async with app.client() as client:
        one = await ask(client, "one", conversationId="c")
        two = await ask(client, "two", previousId=one)
        await ask(client, "another two", previousId=one)
        await chat(client, userPrompt="three", previousId=two)
        after = await ask(client, "another three", previousId=newest(app).id)
        await ask(client, "four", previousId=after)
    assert sent(app) == ["one", WARM, "two", WARM, "another three", WARM, "four"]


@pytest.mark.parametrize("begun", ["c", None])
async def test_a_branch_from_the_beginning_has_nothing_before_it(begun: str | None) -> None:
    app = application()
    async with app.client() as client:
        first = await ask(client, "one", conversationId=begun)
        conversation = begun or first
        await ask(client, "two", previousId=first)
        other = await ask(client, "another one", conversationId=conversation, previousId="none")
        assert sent(app) == ["another one"]
        assert newest(app).conversation_id == conversation
        await ask(client, "another two", previousId=other)
        assert sent(app) == ["another one", WARM, "another two"]
        await ask(client, "another three", previousId=newest(app).id)
        assert sent(app)[:3] == ["another one", WARM, "another two"]
        page = (await client.get(f"/v1/history/ana?conversationId={conversation}")).json()
        one = (await client.get(f"/v1/history/ana/{other}")).json()
    assert [turn.get("previousId") for turn in page["history"]][2:3] == ["none"]
    assert one["previousId"] == "none"


async def test_a_branch_from_the_beginning_names_its_conversation_and_has_no_calls_to_answer() -> (
    None
):
    app = application(CALLING)
    async with app.client() as client:
        await ask(client, "one", tools=TOOLS, conversationId="c")
        alone = await chat(client, previousId="none")
        results = await chat(client, conversationId="c", previousId="none", toolResults=RESULTS)
    assert errors_of(alone) == {"/previousId": "none needs conversationId"}
    assert results.status_code == 422
    assert list(errors_of(results)) == ["/toolResults"]


async def test_the_first_event_names_the_conversation_that_is_taken_over() -> None:
    app = application((SELECTED, "a", STOP))
    async with app.client() as client:
        first = await ask(client, "one", conversationId="c")
        response = await chat(client, previousId=first, stream=True)
    assert '"conversationId":"c"' in response.text.partition("\n\n")[0]
