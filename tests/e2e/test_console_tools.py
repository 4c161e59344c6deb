"""Tools and schemas in the console, with the demo model of a service without any key."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console_page import ConsolePage, console_page
from tests.support.service import Service, running_service

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("demo") / "data") as service:
        yield service


def test_a_tool_is_called_and_its_typed_result_is_answered(console: ConsolePage) -> None:
    console.open()
    console.offer_tool(CITY)
    turn = console.asked("What is the weather?")
    expect(turn.locator(".call")).to_contain_text("get_weather")
    expect(turn.locator(".call pre")).to_contain_text('"city": "example"')
    expect(turn.locator(".turn-note")).to_have_count(0)
    expect(console.page.locator("#announcer")).to_have_text(
        "The model calls get_weather and waits for the result"
    )
    console.page.reload()  # the call is still open
    form = console.page.get_by_role("form", name="Result of the call")
    form.get_by_label("JSON").check()
    form.get_by_role("textbox", name="Result").fill("{celsius: 22}")
    form.get_by_role("button", name="Send the result").click()
    expect(form.get_by_role("alert")).to_contain_text("Not valid JSON")
    form.get_by_role("textbox", name="Result").fill('{"celsius": 22}')
    form.get_by_label("The tool failed").check()
    form.get_by_role("button", name="Send the result").click()
    answer = console.turns.nth(1)
    expect(answer.locator(".prose")).to_contain_text('Your tools answered: {"celsius":22}')
    expect(answer.locator(".result")).to_contain_text("Failed: get_weather")
    expect(form).to_have_count(0)
    kept = console.kept()
    assert kept[0]["conversationId"] == kept[1]["conversationId"]
    assert kept[0]["toolResults"] == [
        {"callId": kept[1]["toolCalls"][0]["id"], "output": {"celsius": 22}, "isError": True}
    ]

    console.page.get_by_role("link", name="History", exact=True).click()
    expect(console.items.nth(0)).to_contain_text("1 tool result")
    expect(console.items.nth(1)).to_contain_text("Calls get_weather")
    console.items.nth(1).get_by_role("link").click()
    expect(console.page.locator(".detail .call pre")).to_contain_text('"city": "example"')
    console.items.nth(0).get_by_role("link").click()
    expect(console.page.locator(".detail .result pre")).to_contain_text('"celsius": 22')


def test_another_question_settles_the_calls(console: ConsolePage) -> None:
    console.open()
    console.offer_tool(CITY)
    console.asked("What is the weather?")
    expect(console.page.locator(".results")).to_be_visible()
    console.options().get_by_label("Name").fill("")
    console.page.keyboard.press("Escape")
    turn = console.asked("Never mind.")
    expect(turn.locator(".result")).to_contain_text("Failed: get_weather")
    expect(turn.locator(".result pre")).to_contain_text("not carried out")
    expect(console.page.locator(".results")).to_have_count(0)


def test_a_tool_round_with_the_keyboard_alone(console: ConsolePage) -> None:
    keyboard = console.page.keyboard
    console.open()
    expect(console.prompt).to_be_focused()
    for _ in range(3):  # the model, the button for attachments, the options
        keyboard.press("Tab")
    keyboard.press("Enter")
    panel = console.page.locator(".options-body")
    for _ in range(20):
        keyboard.press("Tab")
        if panel.get_by_role("button", name="Fill in an example").evaluate(
            "button => button === document.activeElement"
        ):
            break
    keyboard.press("Enter")
    keyboard.press("Escape")
    expect(console.page.locator(".options summary")).to_be_focused()
    expect(console.page.locator(".options summary")).to_contain_text("1 set")
    for _ in range(3):
        keyboard.press("Shift+Tab")
    expect(console.prompt).to_be_focused()
    keyboard.type("What is the weather?")
    keyboard.press("Enter")
    form = console.page.get_by_role("form", name="Result of the call")
    expect(form).to_be_visible()
    assert console.violations() == []
    for _ in range(4):  # the button, two boxes, the field
        keyboard.press("Shift+Tab")
    expect(form.get_by_role("textbox", name="Result")).to_be_focused()
    keyboard.type("22 degrees")
    for _ in range(3):
        keyboard.press("Tab")
    keyboard.press("Enter")
    expect(console.turns.nth(1).locator(".prose")).to_contain_text("Your tools answered: 22")
    expect(console.prompt).to_be_focused()


def test_a_small_dark_screen_shows_calls_and_results_without_scrolling_sideways(
    browser: Browser, service: Service
) -> None:
    options = {"viewport": {"width": 360, "height": 720}, "color_scheme": "dark"}
    with console_page(browser, service, reduced_motion="reduce", **options) as console:
        console.open()
        console.offer_tool({"type": "object", "properties": {"word": {"default": "long" * 60}}})
        console.asked("Call it.")
        form = console.page.get_by_role("form", name="Result of the call")
        form.get_by_role("textbox", name="Result").fill("wide" * 60)
        assert console.violations() == []
        form.get_by_role("button").click()
        expect(console.turns.nth(1).locator(".facts")).to_be_visible()
        assert console.violations() == []
        console.options()
        assert console.violations() == []
        widths = "['html', '.scroller', '.options-body'].map((one) => document.querySelector(one).scrollWidth)"
        assert max(console.page.evaluate(widths)) <= 360


def test_a_structured_answer_is_shown_as_json(console: ConsolePage) -> None:
    console.open()
    panel = console.options()
    schema = panel.get_by_label("Response schema")
    schema.fill('{"type": "object"')
    console.prompt.fill("Name a city.")
    console.prompt.press("Enter")
    expect(schema).to_be_focused()
    expect(panel.get_by_role("alert")).to_contain_text("Not valid JSON")
    assert console.turns.count() == 0
    schema.fill("[]")
    expect(panel.get_by_role("alert")).to_contain_text("Must be a JSON object")
    schema.fill(json.dumps(CITY))
    panel.get_by_label("Reasoning effort").select_option("low")
    console.page.keyboard.press("Escape")
    console.prompt.press("Enter")
    turn = console.turns.first
    expect(turn.locator(".prose .code-head")).to_contain_text("json")
    expect(turn.locator(".prose pre")).to_have_text('{"city":"example"}')
