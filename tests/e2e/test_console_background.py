"""The console's chats go on without the page: reloads, other tabs, broken connections, killed processes."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from infra.selftest.exchange import Exchange
from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.e2e.console_page import (
    PATIENCE_MILLISECONDS,
    ConsolePage,
    Dictated,
    console_page,
    fresh_console,
)
from tests.fakes.provider import models_file
from tests.http.access import make_key
from tests.support.relay import relay
from tests.support.service import Service, running_service

MODEL = "healthy"  # the provider's name of the default model, gem-healthy


@pytest.fixture
def dictated(provider: FaultProvider) -> Iterator[Dictated]:
    dictated = Dictated()
    provider.override[MODEL] = dictated
    yield dictated
    dictated.end()
    del provider.override[MODEL]


@contextmanager
def second_tab(console: ConsolePage) -> Iterator[ConsolePage]:
    """Open the conversation in another tab of the same browser."""
    page = console.page.context.new_page()
    page.add_init_script(f"sessionStorage.setItem('rt-console-user', '{console.user}')")
    page.goto(console.page.url)
    yield ConsolePage(page, console.service, console.user)
    page.close()


def test_a_reload_in_mid_answer_shows_it_going_on(
    console: ConsolePage, dictated: Dictated, provider: FaultProvider
) -> None:
    console.open()
    turn = console.ask("Tell me a story.")
    dictated.say("Once upon ")
    expect(turn.locator(".prose")).to_have_text("Once upon")
    calls = len(provider.calls)
    console.page.reload()
    expect(turn.locator(".prose")).to_have_text("Once upon")
    expect(turn).to_contain_text("Tell me a story.")
    expect(console.page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    dictated.say("a time.")
    expect(turn.locator(".prose")).to_have_text("Once upon a time.")
    dictated.end()
    expect(turn.locator(".facts")).to_be_visible()
    expect(console.page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    assert len(provider.calls) == calls
    assert [found["status"] for found in console.kept()] == ["completed"]


def test_an_answer_in_progress_is_listed_in_history_as_such(
    console: ConsolePage, dictated: Dictated
) -> None:
    console.open()
    turn = console.ask("Tell me a story.")
    dictated.say("Once upon ")
    expect(turn.locator(".prose")).to_have_text("Once upon")
    console.page.goto("/#/history")
    console.page.locator(".filters-more summary").click()
    console.page.get_by_label("In progress").check()
    console.page.get_by_role("button", name="Apply").click()
    expect(console.items).to_have_count(1)
    expect(console.items.locator(".status")).to_have_text("In progress")
    assert not console.violations()
    dictated.end()


def test_a_second_tab_shows_the_same_answer_and_stops_it_for_both(
    console: ConsolePage, dictated: Dictated, provider: FaultProvider
) -> None:
    console.open()
    turn = console.ask("Tell me a story.")
    dictated.say("Once upon ")
    expect(turn.locator(".prose")).to_have_text("Once upon")
    with second_tab(console) as other:
        expect(other.turns.locator(".prose")).to_have_text("Once upon")
        dictated.say("a time ")
        for tab in (console, other):
            expect(tab.turns.locator(".prose")).to_have_text("Once upon a time")
        other.page.get_by_role("button", name="Stop", exact=True).click()
        for tab in (console, other):
            expect(tab.turns.locator(".turn-note")).to_have_text("Stopped")
            expect(tab.turns.locator(".facts")).to_be_visible()
    assert provider.calls[-1].ended_seconds is not None
    assert [(found["status"], found["response"]) for found in console.kept()] == [
        ("client_cancelled", "Once upon a time ")
    ]


def test_a_tab_finds_what_was_asked_in_another_when_it_is_looked_at_again(
    console: ConsolePage, dictated: Dictated
) -> None:
    console.open()
    turn = console.ask("Who?")
    dictated.say("Ana.")
    dictated.end()
    expect(turn.locator(".facts")).to_be_visible()
    with second_tab(console) as other:
        expect(other.turns).to_have_count(1)
        console.asked("And then?")
        other.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(other.turns).to_have_count(2)
        expect(other.turns.last.locator(".prose")).to_have_text("Ana.")


def test_a_connection_that_breaks_goes_on_after_the_last_event(
    console: ConsolePage, dictated: Dictated, service: Service
) -> None:
    urls: list[str] = []
    console.page.on("request", lambda request: urls.append(request.url))
    with relay(service.port) as network:
        console.page.goto(f"{network.url}/#/chat")
        turn = console.ask("Tell me a story.")
        dictated.say("Once upon ")
        expect(turn.locator(".prose")).to_have_text("Once upon")
        network.cut()
        expect(turn.locator(".turn-note")).to_contain_text("The connection is lost")
        dictated.say("a ")
        network.mend()
        expect(turn.locator(".prose")).to_have_text("Once upon a")
        expect(turn.locator(".turn-note")).to_have_count(0)
        network.cut()
        expect(turn.locator(".turn-note")).to_be_visible()
        network.mend()
        expect(turn.locator(".turn-note")).to_have_count(0)  # before there is another event
        dictated.say("time.")
        dictated.end()
        expect(turn.locator(".prose")).to_have_text("Once upon a time.")
        expect(turn.locator(".facts")).to_be_visible()
    followed = [url for url in urls if "/events?" in url]
    assert followed
    numbers = [int(url.rpartition("after=")[2]) for url in followed]
    assert numbers[0] == 1  # meta and the first text are known
    assert numbers[-1] == 2


async def think_and_hang(exchange: Exchange) -> None:
    """Reason, send a first text, and wait for the end of the caller; answer the next call without reasoning."""
    await exchange.begin()
    if exchange.nth == 1:
        thought = {"text": "Weighing both.", "thought": True}
        await exchange.event({"candidates": [{"content": {"role": "model", "parts": [thought]}}]})
        await exchange.text("Once upon ")
        while not await exchange.hangs_up_within(0.05):
            pass
        return
    await exchange.text("Once upon a time.")
    await exchange.finish()


def test_an_answer_whose_process_is_killed_begins_anew_in_the_next(
    browser: Browser, dictated: Dictated, provider: FaultProvider, tmp_path: Path
) -> None:
    provider.override[MODEL] = think_and_hang
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    settings = {
        "MODELS_FILE": str(models_file(tmp_path / "models.toml", provider, list(FAULTS))),
        "GEM_KEY": "a-key",
        "PORT": str(port),
        "ANSWER_LEASE_SECONDS": "2",
        "ANSWER_LEASE_RENEWAL_SECONDS": "0.5",
    }
    with running_service(tmp_path / "data", settings) as first, console_page(browser, first) as old:
        old.open()
        turn = old.ask("Tell me a story of a process.")
        text, reasoning = turn.locator(".answer > .prose"), turn.locator(".reasoning details")
        expect(text).to_have_text("Once upon")
        expect(reasoning).to_have_count(1)
        first.kill()
        expect(turn.locator(".turn-note")).to_contain_text("The connection is lost")
        with running_service(tmp_path / "data", settings) as second:
            expect(text).to_have_text("Once upon a time.")
            expect(turn.locator(".facts")).to_be_visible()
            expect(reasoning).to_have_count(0)
            (kept,) = ConsolePage(old.page, second, old.user).kept()
    assert [attempt["outcome"] for attempt in kept["attempts"]] == ["lost", "ok"]
    assert kept["response"] == "Once upon a time."


def test_a_reload_goes_on_once_the_key_is_entered_again(
    browser: Browser, dictated: Dictated, provider: FaultProvider, tmp_path: Path
) -> None:
    _, key = make_key(tmp_path / "data", user="ana")
    settings = {
        "MODELS_FILE": str(models_file(tmp_path / "models.toml", provider, list(FAULTS))),
        "GEM_KEY": "a-key",
        "AUTHENTICATION": "api_keys",
    }
    with (
        running_service(tmp_path / "data", settings) as service,
        fresh_console(browser, service) as console,
    ):
        page = console.page
        page.goto("/")
        enter_key(console, key)
        turn = console.ask("Tell me a story.")
        dictated.say("Once upon ")
        expect(turn.locator(".prose")).to_have_text("Once upon")
        page.reload()
        enter_key(console, key)
        expect(page.get_by_role("button", name="User: ana")).to_be_visible()
        expect(turn.locator(".prose")).to_have_text("Once upon")
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(turn.locator(".turn-note")).to_have_text("Stopped")
        expect(turn.locator(".facts")).to_be_visible()


def enter_key(console: ConsolePage, key: str) -> None:
    """Enter the key in the dialog that asks for it."""
    console.page.get_by_label("Key or token").fill(key)
    console.page.get_by_role("button", name="Save").click()


def test_a_change_of_the_user_leaves_the_answer_to_itself(
    console: ConsolePage, dictated: Dictated
) -> None:
    console.open()
    turn = console.ask("Tell me a story.")
    dictated.say("Once upon ")
    expect(turn.locator(".prose")).to_have_text("Once upon")
    assert gauge(console, "rt_background_readers") == 1
    console.page.get_by_role("button", name=f"User: {console.user}").click()
    console.page.get_by_label("User", exact=True).fill("somebody-else")
    console.page.get_by_role("button", name="Save").click()
    expect(console.page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    wait_until(lambda: gauge(console, "rt_background_readers") == 0)
    assert gauge(console, "rt_background_answers") == 1
    dictated.say("a time.")
    dictated.end()
    wait_until(lambda: [found["response"] for found in console.kept()] == ["Once upon a time."])


def gauge(console: ConsolePage, name: str) -> float:
    with console.service.client() as client:
        text = client.get("/metrics").text
    return float(re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)[0])


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_MILLISECONDS / 1000
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
