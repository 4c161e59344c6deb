"""Asking again in the console: the branches of a conversation, in a real browser before the real service."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from infra.selftest.exchange import Exchange
from infra.selftest.fault import WHOLE_TEXT
from infra.selftest.provider import FaultProvider
from tests.e2e.console_page import ConsolePage, console_page
from tests.e2e.slowly import DEFAULT, Slowly
from tests.support.service import Service

PIXELS = 3


class Numbered:
    """Answers with the number of the call: "Answer 1", "Answer 2", …"""

    def __init__(self) -> None:
        self._calls = 0

    async def __call__(self, exchange: Exchange) -> None:
        self._calls += 1
        await exchange.answer(f"Answer {self._calls}")


@pytest.fixture
def numbered(provider: FaultProvider) -> Iterator[None]:
    provider.override[DEFAULT] = Numbered()
    yield
    del provider.override[DEFAULT]


def press(turn: Locator, name: str) -> None:
    turn.get_by_role("button", name=name).click()


def edit(console: ConsolePage, turn: Locator, question: str) -> None:
    press(turn, "Edit the question")
    console.page.get_by_role("textbox", name="Edit the question").fill(question)
    console.page.keyboard.press("Enter")


def expect_path(console: ConsolePage, *turns: tuple[str, str]) -> None:
    """Wait until exactly these questions and answers are shown."""
    expect(console.turns.locator(".question > p")).to_have_text([turn[0] for turn in turns])
    expect(console.turns.locator(".answer > .prose")).to_have_text([turn[1] for turn in turns])


def sent(provider: FaultProvider) -> list[str]:
    """Return the texts that went to the model last."""
    return [turn["parts"][0]["text"] for turn in provider.calls[-1].body["contents"]]


def position(turn: Locator) -> Locator:
    return turn.locator(".branches-position")


def test_an_answer_is_made_again_beside_the_old_one(
    console: ConsolePage, provider: FaultProvider, numbered: None
) -> None:
    console.open()
    console.asked("one")
    console.asked("two")
    expect(console.page.locator(".branches")).to_have_count(0)
    second = console.turns.nth(1)
    press(second, "Regenerate")
    expect_path(console, ("one", "Answer 1"), ("two", "Answer 3"))
    assert sent(provider) == ["one", "Answer 1", "two"]
    expect(position(second)).to_have_text("2 / 2")
    expect(position(console.turns.first)).to_have_count(0)
    console.asked("three")
    assert sent(provider) == ["one", "Answer 1", "two", "Answer 3", "three"]
    press(second, "Previous branch")
    expect_path(console, ("one", "Answer 1"), ("two", "Answer 2"))
    expect(console.page.locator("#announcer")).to_have_text("Branch 1 of 2")
    console.asked("another three")
    assert sent(provider) == ["one", "Answer 1", "two", "Answer 2", "another three"]
    newest, *_, first = console.kept()
    assert newest["conversationId"] == first["conversationId"]


def test_branches_are_there_after_a_reload_the_newest_in_front(
    console: ConsolePage, provider: FaultProvider, numbered: None
) -> None:
    console.open()
    console.asked("one")
    console.asked("two")
    console.asked("three")
    edit(console, console.turns.nth(1), "another two")
    expect_path(console, ("one", "Answer 1"), ("another two", "Answer 4"))
    console.page.reload()
    expect_path(console, ("one", "Answer 1"), ("another two", "Answer 4"))
    expect(position(console.turns.nth(1))).to_have_text("2 / 2")
    press(console.turns.nth(1), "Previous branch")
    expect_path(console, ("one", "Answer 1"), ("two", "Answer 2"), ("three", "Answer 3"))
    edit(console, console.turns.nth(2), "a third three")
    expect_path(console, ("one", "Answer 1"), ("two", "Answer 2"), ("a third three", "Answer 5"))
    assert sent(provider) == ["one", "Answer 1", "two", "Answer 2", "a third three"]
    console.page.reload()
    expect(position(console.turns.nth(1))).to_have_text("1 / 2")
    expect(position(console.turns.nth(2))).to_have_text("2 / 2")


def test_a_first_question_is_asked_again_in_its_conversation(
    console: ConsolePage, provider: FaultProvider, numbered: None
) -> None:
    console.open()
    console.asked("one")
    console.asked("two")
    edit(console, console.turns.first, "another one")
    expect_path(console, ("another one", "Answer 3"))
    assert sent(provider) == ["another one"]
    console.asked("and then?")
    assert sent(provider) == ["another one", "Answer 3", "and then?"]
    assert len({kept["conversationId"] for kept in console.kept()}) == 1
    console.page.reload()
    expect_path(console, ("another one", "Answer 3"), ("and then?", "Answer 4"))
    press(console.turns.first, "Previous branch")
    expect_path(console, ("one", "Answer 1"), ("two", "Answer 2"))


def test_an_answer_that_is_made_again_has_the_options_of_now_and_the_files_of_then(
    console: ConsolePage, provider: FaultProvider, numbered: None
) -> None:
    files = [{"mediaType": "image/png", "name": "a.png", "data": "iVBORw0KGgoAAAANSUhEUg=="}]
    console.put("What is this?", conversationId="talk", attachments=files)
    console.open("#/chat/talk")
    panel = console.options()
    panel.get_by_label("System prompt").fill("Be brief.")
    console.page.keyboard.press("Escape")
    press(console.turns.first, "Regenerate")
    expect_path(console, ("What is this?", "Answer 2"))
    body = provider.calls[-1].body
    assert body["systemInstruction"]["parts"][0]["text"] == "Be brief."
    assert "iVBORw0KGgoAAAANSUhEUg" in json.dumps(body)
    newest, _ = console.kept()
    assert [kept["name"] for kept in newest["attachments"]] == ["a.png"]


def test_all_of_it_works_by_keyboard_and_is_named_for_screen_readers(
    console: ConsolePage, numbered: None
) -> None:
    console.open()
    turn = console.asked("one")
    turn.get_by_role("button", name="Regenerate").focus()
    console.page.keyboard.press("Enter")
    expect_path(console, ("one", "Answer 2"))
    expect(console.prompt).to_be_focused()
    turn = console.turns.first
    turn.get_by_role("button", name="Regenerate").click()
    expect(position(turn)).to_have_text("3 / 3")
    group = turn.get_by_role("group", name="Branches")
    expect(group.get_by_role("button", name="Next branch")).to_be_disabled()
    group.get_by_role("button", name="Previous branch").press("Enter")
    expect(position(turn)).to_have_text("2 / 3")
    expect(group.get_by_role("button", name="Previous branch")).to_be_focused()
    console.page.keyboard.press("Enter")
    expect(position(turn)).to_have_text("1 / 3")
    expect(group.get_by_role("button", name="Next branch")).to_be_focused()
    editing = turn.get_by_role("button", name="Edit the question")
    editing.press("Enter")
    field = console.page.get_by_role("textbox", name="Edit the question")
    expect(field).to_be_focused()
    expect(field).to_have_value("one")
    assert console.violations() == []
    field.fill("")
    field.press("Enter")
    expect(field).to_be_focused()
    field.press("Escape")
    expect(editing).to_be_focused()
    assert console.violations() == []
    assert len(console.kept()) == 3


def test_nothing_is_asked_again_while_an_answer_is_in_progress(
    console: ConsolePage, slowly: Slowly
) -> None:
    slowly.may_go_on.set()
    console.open()
    console.asked("one")
    slowly.may_go_on.clear()
    console.ask("two")
    first = console.turns.first
    expect(first.get_by_role("button", name="Regenerate")).to_be_disabled()
    expect(first.get_by_role("button", name="Edit the question")).to_be_disabled()
    slowly.may_go_on.set()
    expect(first.get_by_role("button", name="Regenerate")).to_be_enabled()
    expect(console.turns.nth(1).get_by_role("button", name="Regenerate")).to_be_enabled()


def test_a_question_that_failed_is_asked_again_in_its_place(
    console: ConsolePage, provider: FaultProvider
) -> None:
    console.open()
    console.asked("one")
    turn = console.asked("two", "gem-400")
    expect(turn.get_by_role("alert")).to_be_visible()
    console.model.select_option("gem-healthy")
    edit(console, turn, "two, but differently")
    expect_path(console, ("one", WHOLE_TEXT.strip()), ("two, but differently", WHOLE_TEXT.strip()))
    assert sent(provider) == ["one", WHOLE_TEXT, "two, but differently"]
    expect(position(console.turns.nth(1))).to_have_text("2 / 2")


def test_a_turn_is_asked_again_whose_predecessors_are_not_loaded(
    console: ConsolePage, provider: FaultProvider, numbered: None
) -> None:
    console.put(*(f"question {number}" for number in range(33)), conversationId="talk")
    console.open("#/chat/talk")
    expect(console.turns).to_have_count(30)
    press(console.turns.first, "Regenerate")
    expect(console.turns).to_have_count(4)
    expect(console.turns.last.locator(".answer > .prose")).to_have_text("Answer 34")
    assert sent(provider)[-3:] == ["question 2", "Answer 3", "question 3"]
    expect(position(console.turns.last)).to_have_text("2 / 2")
    press(console.turns.last, "Previous branch")
    expect(console.turns).to_have_count(33)


def test_a_branch_goes_on_although_the_other_is_not_loaded(
    console: ConsolePage, provider: FaultProvider, numbered: None
) -> None:
    console.put("one", "two", conversationId="talk")
    console.put("another one", conversationId="talk", previousId="none")
    for number in range(31):
        console.put(f"question {number}", previousId=console.kept()[0]["id"])
    console.open("#/chat/talk")
    expect(console.turns).to_have_count(30)
    console.asked("the last one")
    assert sent(provider)[:3] == ["another one", "Answer 3", "question 0"]
    assert sent(provider)[-1] == "the last one"


def test_results_of_tools_are_sent_again_with_their_turn(
    console: ConsolePage, provider: FaultProvider
) -> None:
    async def call(exchange: Exchange) -> None:
        if "functionResponse" in json.dumps(exchange.body):
            await exchange.answer("It is warm.")
            return
        part: dict[str, Any] = {"functionCall": {"name": "get_weather", "args": {"city": "Rio"}}}
        await exchange.begin()
        await exchange.event({"candidates": [{"content": {"role": "model", "parts": [part]}}]})
        await exchange.finish()

    provider.override[DEFAULT] = call
    try:
        console.open()
        console.offer_tool({"type": "object"})
        console.asked("Is it warm in Rio?")
        form = console.page.get_by_role("form", name="Result of the call")
        form.get_by_role("textbox").fill("30")
        form.get_by_role("button", name="Send the result").click()
        expect(console.turns.nth(1).locator(".answer > .prose")).to_have_text("It is warm.")
        press(console.turns.nth(1), "Regenerate")
        expect(position(console.turns.nth(1))).to_have_text("2 / 2")
        expect(console.turns.nth(1).locator(".answer > .prose")).to_have_text("It is warm.")
        expect(console.turns.nth(1).get_by_role("button", name="Edit the question")).to_have_count(
            0
        )
        newest, before, _ = console.kept()
    finally:
        del provider.override[DEFAULT]
    assert newest["toolResults"] == before["toolResults"]
    assert [result["output"] for result in newest["toolResults"]] == ["30"]


def test_a_branch_is_switched_where_it_is_on_the_screen(
    browser: Browser, service: Service, numbered: None
) -> None:
    with console_page(browser, service, viewport={"width": 390, "height": 700}) as console:
        console.put(*(f"question {number}" for number in range(6)), conversationId="talk")
        console.open("#/chat/talk")
        press(console.turns.nth(3), "Regenerate")
        turn = console.turns.nth(3)
        expect(position(turn)).to_have_text("2 / 2")
        for name, shown in (("Previous branch", "1 / 2"), ("Next branch", "2 / 2")):
            button = turn.get_by_role("button", name=name)
            button.scroll_into_view_if_needed()
            top = turn.evaluate("turn => turn.getBoundingClientRect().top")
            button.click()
            expect(position(turn)).to_have_text(shown)
            moved = turn.evaluate("turn => turn.getBoundingClientRect().top") - top
            if shown == "1 / 2":  # there is enough below it to stay
                assert abs(moved) < PIXELS
        assert console.violations() == []


def test_branches_are_spoken_of_in_portuguese(
    browser: Browser, service: Service, numbered: None
) -> None:
    with console_page(browser, service, locale="pt-BR") as console:
        console.open()
        console.ask("um")
        press(console.turns.first, "Gerar de novo")
        expect(position(console.turns.first)).to_have_text("2 / 2")
        expect(console.page.get_by_role("button", name="Enviar", exact=True)).to_be_visible()
        expect(console.page.locator("#announcer")).to_have_text("A resposta está completa")
        press(console.turns.first, "Ramo anterior")
        expect(console.page.locator("#announcer")).to_have_text("Ramo 1 de 2")
        expect(console.turns.first.get_by_role("button", name="Editar a pergunta")).to_be_visible()


def test_a_conversation_that_continues_a_single_interaction_is_shown_with_it(
    console: ConsolePage, service: Service, provider: FaultProvider, numbered: None
) -> None:
    console.open()
    with service.client() as client:
        body = {"userId": console.user, "userPrompt": "one"}
        first = client.post("/v1/chat", json=body).json()["id"]
        body = {"userId": console.user, "userPrompt": "two", "previousId": first}
        assert client.post("/v1/chat", json=body).json()["conversationId"] == first
    console.open(f"#/chat/{first}")
    expect_path(console, ("one", "Answer 1"), ("two", "Answer 2"))
    console.asked("three")
    assert sent(provider) == ["one", "Answer 1", "two", "Answer 2", "three"]
    assert console.kept()[0]["conversationId"] == first


def test_a_session_of_an_agent_is_shown_as_one_conversation(
    console: ConsolePage, service: Service, numbered: None
) -> None:
    messages: list[dict[str, str]] = []
    with service.client() as client:
        for number, question in enumerate(("one", "two", "three"), 1):
            messages.append({"role": "user", "content": question})
            body = {
                "model": "gem-healthy",
                "max_tokens": 100,
                "messages": messages,
                "metadata": {"user_id": console.user},
            }
            headers = {"X-Conversation-Id": f"session-{console.user}"}
            answered = client.post("/v1/messages", json=body, headers=headers)
            assert answered.status_code == 200, answered.text
            messages.append({"role": "assistant", "content": f"Answer {number}"})
    console.open(f"#/chat/session-{console.user}")
    expect_path(console, ("one", "Answer 1"), ("two", "Answer 2"), ("three", "Answer 3"))
