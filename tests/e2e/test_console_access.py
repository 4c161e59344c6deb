"""Whoever the reader is: with a keyboard alone, with a screen reader, on a small screen, in the dark, with a key."""

from collections.abc import Iterator, Sequence

import pytest
from playwright.sync_api import Browser, expect

from infra.selftest.exchange import Exchange
from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.e2e.console_page import ConsolePage, console_page, fresh_console
from tests.fakes.issuer import issuer_in_thread, token
from tests.fakes.provider import models_file
from tests.http.access import jwt_settings, make_key
from tests.support.service import Service, running_service

RICH = """# An answer

With **much** in it: `code`, [a link](https://example.org), and

1. a list
   - within a list

> a quotation

| a | b |
|---|---|
| 1 | 2 |

```python
print("a line that is so long that it does not fit into any column and has to be scrolled, sideways, to its end")
```

averylongwordthatnobodywouldeverwriteandthatstillhastobebrokensomewherebecauseotherwisethepagewouldscrollsideways
"""
SMALL = {"width": 360, "height": 720}


async def rich(exchange: Exchange) -> None:
    await exchange.answer(RICH)


@pytest.fixture(autouse=True)
def rich_answers(provider: FaultProvider) -> Iterator[None]:
    provider.override["healthy"] = rich
    yield
    del provider.override["healthy"]


def views(console: ConsolePage) -> Iterator[str]:
    """Show one view after the other, each with everything in it that can be there."""
    page = console.page
    console.open()
    yield "an empty chat"
    console.asked("everything there is, please", "safe-503")
    page.locator("details.attempts summary").click()
    yield "an answer"
    console.asked("nothing", "gem-blocked")
    yield "a problem"
    page.locator(".options summary").click()
    yield "options"
    page.locator(".options summary").press("Escape")
    page.locator(".who").click()
    yield "who asks"
    page.keyboard.press("Escape")
    page.goto("/#/history")
    expect(console.items).to_have_count(1)
    page.locator(".filters-more summary").click()
    yield "history"
    console.items.first.get_by_role("link").click()
    expect(page.locator(".known")).to_be_visible()
    yield "one interaction"
    page.locator(".detail").get_by_role("button", name="Erase").click()
    yield "a confirmation"
    page.keyboard.press("Escape")
    page.goto("/#/overview")
    expect(page.locator(".routes")).to_be_visible()
    expect(page.locator("figure.plot svg")).to_have_count(4)
    for summary in page.locator("details.figures summary").all():
        summary.click()
    yield "overview"


def test_axe_finds_nothing_in_any_view_in_either_theme(browser: Browser, service: Service) -> None:
    with console_page(browser, service, reduced_motion="reduce") as console:
        found: dict[str, Sequence[str]] = {}
        for view in views(console):
            console.page.emulate_media(color_scheme="light")
            found[view] = console.violations()
            console.page.emulate_media(color_scheme="dark")
            found[f"{view} in the dark"] = console.violations("color-contrast")
    assert len(found) == 18
    assert {view: wrong for view, wrong in found.items() if wrong} == {}


def test_a_small_screen_shows_all_of_it_without_scrolling_sideways(
    browser: Browser, service: Service
) -> None:
    with console_page(browser, service, viewport=SMALL, reduced_motion="reduce") as console:
        widths = {
            view: console.page.evaluate(
                "Math.max(...['html', '.scroller', '.history-main', '.detail', '.overview'].map((one) => document.querySelector(one).scrollWidth))"
            )
            for view in views(console)
        }
        assert {view: width for view, width in widths.items() if width > SMALL["width"]} == {}
        console.page.goto("/#/chat")
        console.page.get_by_role("button", name="Conversations").click()
        drawer = console.page.get_by_role("dialog", name="Conversations")
        expect(drawer.get_by_role("link", name="everything there is")).to_be_visible()
        assert console.violations() == []
        drawer.get_by_role("link", name="everything there is").click()
        expect(drawer).to_have_count(0)
        expect(console.turns).to_have_count(2)


def test_a_keyboard_is_enough(console: ConsolePage) -> None:
    page = console.page
    console.open()
    expect(console.prompt).to_be_focused()
    page.keyboard.type("hello")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("there")
    page.keyboard.press("Enter")
    expect(console.turns.locator(".facts")).to_be_visible()
    assert console.kept()[0]["userPrompt"] == "hello\nthere"

    page.goto("/#/overview")
    page.reload()
    expect(page.locator(".routes")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    page.get_by_role("link", name="History", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="History")).to_be_focused()
    entry = console.items.first.get_by_role("link")
    entry.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Details").first).to_be_focused()
    erase = page.locator(".detail").get_by_role("button", name="Erase")
    erase.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(erase).to_be_focused()
    page.get_by_role("link", name="Back to the list").focus()
    page.keyboard.press("Enter")
    expect(entry).to_be_focused()


def test_escape_stops_an_answer(console: ConsolePage) -> None:
    console.open()
    turn = console.ask("go on", "gem-drip-0.2s")
    expect(turn.locator(".prose")).to_contain_text("drop")
    console.prompt.press("Escape")
    expect(turn.locator(".turn-note")).to_have_text("Stopped")


def test_a_theme_is_chosen_and_kept(console: ConsolePage) -> None:
    console.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = console.page.evaluate(ground)
    console.page.get_by_role("button", name="Theme: as the system").click()
    assert console.page.evaluate(ground) == light
    console.page.get_by_role("button", name="Theme: light").click()
    assert console.page.evaluate(ground) != light
    console.page.reload()
    assert console.page.evaluate(ground) != light


@pytest.fixture(scope="module")
def guarded(
    provider: FaultProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, str]]:
    """A service that asks who calls, and a key of ana's."""
    folder = tmp_path_factory.mktemp("guarded")
    _, key = make_key(folder / "data", user="ana")
    with issuer_in_thread() as issuer:
        settings = {
            "MODELS_FILE": str(models_file(folder / "models.toml", provider, list(FAULTS))),
            "GEM_KEY": "a-key",
            **jwt_settings(issuer),
        }
        with running_service(folder / "data", settings) as service:
            yield service, key


def test_a_key_is_asked_for_and_forgotten_with_the_tab(
    browser: Browser, guarded: tuple[Service, str]
) -> None:
    service, key = guarded
    with fresh_console(browser, service) as console:
        page = console.page
        page.goto("/")
        page.get_by_label("Key or token").fill("rtg_wrong")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("Not authenticated")
        page.get_by_role("button", name="Enter a key or token").click()
        page.get_by_label("Key or token").fill(key)
        page.get_by_role("button", name="Save").click()
        turn = console.asked("hello")
        expect(turn.locator(".facts")).to_be_visible()
        expect(page.get_by_role("button", name="User: ana")).to_be_visible()  # told by the answer
        page.get_by_role("link", name="History", exact=True).click()
        expect(console.items).to_have_count(1)
        stored = page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}]) + document.cookie"
        )
        assert key not in stored
        assert "rtg_" not in stored
        page.reload()
        expect(page.get_by_label("Key or token")).to_be_focused()  # asked for again


def test_a_token_says_whose_history_it_is(browser: Browser, guarded: tuple[Service, str]) -> None:
    service, _ = guarded
    with fresh_console(browser, service) as console:
        console.page.goto("/#/history")
        console.page.get_by_label("Key or token").fill(token(sub="bia.souza").decode())
        console.page.get_by_role("button", name="Save").click()
        expect(console.page.get_by_role("button", name="User: bia.souza")).to_be_visible()
        expect(console.page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
