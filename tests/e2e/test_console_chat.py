"""The console's chat, in a real browser before the real service."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from infra.selftest.exchange import Exchange
from infra.selftest.fault import WHOLE_TEXT
from infra.selftest.provider import FaultProvider
from tests.e2e.console_page import ConsolePage, Dictated, console_page
from tests.support.service import Service

MODEL = "healthy"  # what the provider calls the default one, gem-healthy


@pytest.fixture
def dictated(provider: FaultProvider) -> Iterator[Dictated]:
    dictated = Dictated()
    provider.override[MODEL] = dictated
    yield dictated
    dictated.end()
    del provider.override[MODEL]


def test_an_answer_is_there_word_by_word_and_says_what_it_was(
    console: ConsolePage, dictated: Dictated
) -> None:
    console.open()
    turn = console.ask("What is an event loop?")
    expect(turn.get_by_text("Waiting for the first word")).to_be_attached()
    dictated.say("An **event loop** ")
    expect(turn.locator(".prose")).to_have_text("An event loop")
    expect(turn.locator(".facts")).to_have_count(0)
    dictated.say("waits.")
    expect(turn.locator(".prose")).to_have_text("An event loop waits.")
    assert turn.locator("strong").inner_text() == "event loop"
    dictated.end()
    expect(turn.locator(".facts")).to_contain_text("12 tokens")
    expect(turn.locator(".facts")).to_contain_text("$0.0000")
    expect(turn.locator(".facts")).to_contain_text(" s")
    expect(turn.get_by_role("heading", name="gem-healthy")).to_be_visible()
    expect(console.page.locator("#announcer")).to_have_text("The answer is complete")
    assert [one["status"] for one in console.kept()] == ["completed"]


def test_a_newcomer_asks_once_and_finds_it_in_history(console: ConsolePage) -> None:
    console.page.goto("/")
    console.page.get_by_role("button", name="What is an event loop, in three sentences?").click()
    expect(console.turns.locator(".prose")).to_have_text(WHOLE_TEXT.strip())
    console.page.get_by_role("link", name="History", exact=True).click()
    expect(console.items).to_have_count(1)
    expect(console.items).to_contain_text("What is an event loop, in three sentences?")
    console.page.get_by_role("link", name="Chat", exact=True).click()
    expect(console.turns).to_have_count(1)  # where it was left


def test_a_fallback_names_who_answered_and_who_was_tried(console: ConsolePage) -> None:
    console.open()
    turn = console.asked("hello", "safe-503")
    expect(turn.get_by_role("heading", name="alt-healthy")).to_be_visible()
    expect(turn.locator(".facts")).to_contain_text("stood in for safe-503")
    attempts = turn.locator("details.attempts")
    expect(attempts.locator("li").first).to_be_hidden()
    attempts.locator("summary").click()
    expect(attempts.locator("li").first).to_contain_text("HTTP 503")
    expect(attempts.locator("li").last).to_contain_text("answered")
    assert attempts.locator("li").count() == len(console.kept()[0]["attempts"])


def test_a_blocked_question_is_told_with_its_request_which_can_be_copied(
    console: ConsolePage,
) -> None:
    console.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.open()
    turn = console.asked("something bad", "gem-blocked")
    problem = turn.get_by_role("alert")
    expect(problem).to_contain_text("Content blocked")
    expect(problem.get_by_role("button", name="Try again")).to_have_count(0)
    request_id = problem.locator("code").inner_text()
    assert re.fullmatch(r"[0-9a-f-]{36}", request_id)
    assert console.service.lines_with(request_id)
    problem.get_by_role("button", name="Copy the request id").click()
    expect(console.page.locator("#announcer")).to_have_text("Copied")
    assert console.page.evaluate("navigator.clipboard.readText()") == request_id
    assert [one["status"] for one in console.kept()] == ["blocked"]


def test_an_answer_that_breaks_keeps_its_text_and_can_be_asked_for_again(
    console: ConsolePage,
) -> None:
    console.open()
    turn = console.asked("hello", "gem-cut")
    expect(turn.locator(".prose")).to_have_text("All")
    expect(turn.get_by_text("Broken off")).to_be_visible()
    console.model.select_option("gem-healthy")
    turn.get_by_role("button", name="Try again").click()
    expect(turn.locator(".prose")).to_have_text(WHOLE_TEXT.strip())
    turn.get_by_role("button", name="Previous branch").click()
    expect(turn.locator(".prose")).to_have_text("All")


def test_an_answer_that_is_stopped_is_cancelled_and_kept_as_far_as_it_came(
    console: ConsolePage, dictated: Dictated, provider: FaultProvider
) -> None:
    console.open()
    turn = console.ask("Tell me a long story.")
    dictated.say("Once upon a time ")
    expect(turn.locator(".prose")).to_have_text("Once upon a time")
    console.page.get_by_role("button", name="Stop").click()
    expect(turn.locator(".turn-note")).to_have_text("Stopped")
    expect(turn.locator(".facts")).to_be_visible()  # read back from history
    assert provider.calls[-1].ended_seconds is not None  # the provider was hung up on
    assert [(one["status"], one["response"]) for one in console.kept()] == [
        ("client_cancelled", "Once upon a time ")
    ]
    turn.get_by_role("link", name="See in history").click()
    expect(console.items).to_have_count(1)
    expect(console.items).to_contain_text("Cancelled")
    expect(console.page.locator(".detail .prose")).to_have_text("Once upon a time")


HOSTILE = """<img src=x onerror="window.ran = 1"><script>window.ran = 1</script>

[a](javascript:window.ran=1) [b](data:text/html,<script>window.ran=1</script>) ![c](https://tracker.example/c.png)
[d](https://example.org/?q=<b>"onmouseover=window.ran=1) <https://example.org/e> <svg onload=window.ran=1>

| <img src=x onerror=window.ran=1> | b |
|---|---|
| `<script>window.ran=1</script>` | [x](JaVaScRiPt:window.ran=1) |

```html"><script>window.ran=1</script>
<script>window.ran = 1</script>
```"""


def test_a_script_in_an_answer_does_not_run(console: ConsolePage, dictated: Dictated) -> None:
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url))
    console.open()
    turn = console.ask("Attack me")
    dictated.say(*(HOSTILE[at : at + 7] for at in range(0, len(HOSTILE), 7)))
    dictated.end()
    expect(turn.locator(".facts")).to_be_visible()
    answer = turn.locator(".prose")
    expect(answer).to_contain_text('<img src=x onerror="window.ran = 1"><script>')
    assert answer.locator("script, img, iframe, .prose svg:not(.icon)").count() == 0
    links = answer.locator("a")
    assert all(
        link.get_attribute("href").startswith("https://")  # type: ignore[union-attr]
        and link.get_attribute("rel") == "noopener noreferrer"
        for link in links.all()
    )
    assert links.count() == 3  # the picture, the odd address and the plain one
    console.page.get_by_role("link", name="History", exact=True).click()
    console.items.first.get_by_role("link").click()
    expect(console.page.locator(".detail .prose")).to_contain_text("window.ran")
    assert console.page.evaluate("window.ran") is None
    assert all(url.startswith(console.service.url) for url in asked)


async def think(exchange: Exchange) -> None:
    """Answer with reasoning before the text."""
    await exchange.begin()
    await exchange.event(parts({"text": "**Weighing** both.", "thought": True}))
    await exchange.text("Both are fine.")
    await exchange.finish()


async def call_twice(exchange: Exchange) -> None:
    """Call the tool for two cities, and answer with text to their results."""
    if "functionResponse" in json.dumps(exchange.body):
        await exchange.answer("It is warmer in Lisbon.")
        return
    calls = [
        {"functionCall": {"name": "get_weather", "args": {"city": city}}}
        for city in ("Lisbon", "Oslo")
    ]
    await exchange.begin()
    await exchange.event(parts(*calls))
    await exchange.finish()


def parts(*parts: Any) -> dict[str, Any]:
    """Return the event of the Gemini format that carries these parts."""
    return {"candidates": [{"content": {"role": "model", "parts": parts}}]}


@pytest.fixture
def answering(provider: FaultProvider) -> Iterator[Callable[[Any], None]]:
    """Sets how the default model answers."""
    yield lambda answer: provider.override.update({MODEL: answer})
    del provider.override[MODEL]


def test_reasoning_is_folded_in_chat_and_history(
    console: ConsolePage, answering: Callable[[Any], None]
) -> None:
    answering(think)
    console.open()
    turn = console.asked("Tea or coffee?")
    reasoning = turn.get_by_text("Weighing both.")
    expect(turn.get_by_text("Both are fine.")).to_be_visible()
    expect(reasoning).to_be_hidden()
    turn.get_by_text("Reasoning", exact=True).click()
    expect(reasoning).to_be_visible()
    turn.get_by_role("link", name="See in history").click()
    detail = console.page.locator(".detail")
    expect(detail.get_by_text("Both are fine.")).to_be_visible()
    expect(detail.get_by_text("Weighing both.")).to_be_hidden()
    detail.get_by_text("Reasoning", exact=True).click()
    expect(detail.get_by_text("Weighing both.")).to_be_visible()


def test_each_call_of_a_turn_has_a_field_for_its_result(
    console: ConsolePage, answering: Callable[[Any], None], provider: FaultProvider
) -> None:
    answering(call_twice)
    console.open()
    console.offer_tool({"type": "object", "properties": {"city": {"type": "string"}}})
    console.asked("Where is it warmer?")
    form = console.page.get_by_role("form", name="Results of the 2 calls")
    form.get_by_role("group", name="Lisbon").get_by_role("textbox").fill("22")
    form.get_by_role("group", name="Oslo").get_by_role("textbox").fill("3")
    console.page.get_by_role("button", name="Mudar para português").click()
    console.page.get_by_role("button", name="Enviar os resultados").click()
    expect(console.turns.nth(1).locator(".prose")).to_have_text("It is warmer in Lisbon.")
    assert [result["output"] for result in console.kept()[0]["toolResults"]] == ["22", "3"]
    assert "functionDeclarations" in json.dumps(provider.calls[-1].body)


def test_a_conversation_goes_on_and_can_be_opened_again(
    console: ConsolePage, provider: FaultProvider
) -> None:
    console.open()
    console.asked("My name is Ana.", "gem-healthy")
    console.asked("What is my name?")
    sent = provider.calls[-1].body["contents"]
    assert [turn["parts"][0]["text"] for turn in sent] == [
        "My name is Ana.",
        WHOLE_TEXT,
        "What is my name?",
    ]
    conversations = console.page.get_by_role("navigation", name="Conversations")
    entry = conversations.get_by_role("link", name="My name is Ana.")
    expect(entry).to_contain_text("2 turns")
    conversations.get_by_role("link", name="New chat").click()
    expect(console.page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    console.asked("Something else")
    expect(entry).to_be_visible()
    entry.click()
    expect(console.turns).to_have_count(2)
    expect(console.turns.first).to_contain_text("My name is Ana.")
    console.asked("And still?")
    assert len(provider.calls[-1].body["contents"]) == 5
    console.page.reload()
    expect(console.turns).to_have_count(3)


def test_options_are_sent_and_a_model_may_be_alone_with_its_failure(
    console: ConsolePage, provider: FaultProvider
) -> None:
    console.open()
    console.page.locator("summary", has_text="Options").click()
    console.page.get_by_label("System prompt").fill("Be brief.")
    console.page.get_by_label("Temperature").fill("0.5")
    console.page.get_by_label("Another model may answer").uncheck()
    turn = console.asked("hello", "safe-400")
    expect(turn.get_by_role("alert")).to_contain_text("Rejected by the provider")
    sent = provider.calls[-1].body
    assert sent["systemInstruction"]["parts"][0]["text"] == "Be brief."
    assert sent["generationConfig"]["temperature"] == 0.5


def test_it_speaks_portuguese_to_who_does_and_either_on_request(
    browser: Browser, service: Service
) -> None:
    with console_page(browser, service, locale="pt-BR") as console:
        console.page.goto("/")
        expect(console.page.locator("html")).to_have_attribute("lang", "pt-BR")
        console.page.get_by_role("button", name="Escreva um haicai sobre gravações").click()
        expect(console.turns.locator(".facts")).to_contain_text("12 tokens")
        console.prompt.fill("Ainda não")
        console.page.get_by_role("button", name="Switch to English").click()
        expect(console.prompt).to_have_value("Ainda não")
        expect(console.page.locator("html")).to_have_attribute("lang", "en")
        expect(console.turns).to_have_count(1)
        expect(console.page.get_by_role("link", name="Overview")).to_be_visible()
        console.page.reload()
        expect(console.page.locator("html")).to_have_attribute("lang", "en")


def test_a_conversation_is_renamed_and_erased(console: ConsolePage) -> None:
    console.open()
    console.asked("What is a loop?")
    sidebar = console.page.get_by_role("navigation", name="Conversations")
    sidebar.get_by_role("button", name="Rename").click()
    dialog = console.page.get_by_role("dialog")
    expect(dialog.get_by_label("Title")).to_have_value("What is a loop?")
    dialog.get_by_label("Title").fill("Loops")
    dialog.get_by_role("button", name="Save").click()
    expect(sidebar.locator(".conversation-title")).to_have_text("Loops")
    sidebar.get_by_role("button", name="Erase").click()
    dialog = console.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Erase “Loops”?")
    dialog.get_by_role("button", name="Erase").click()
    expect(sidebar.locator(".conversation-title")).to_have_count(0)
    expect(console.turns).to_have_count(0)
    assert console.kept() == []
    console.asked("What is a coil?")
    (kept,) = console.kept()
    assert kept["userPrompt"] == "What is a coil?"
