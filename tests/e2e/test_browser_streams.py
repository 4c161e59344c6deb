"""The worked example for a page, in a real browser: word by word, to its end or until the page is left."""

import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from infra.selftest.fault import FIRST_TEXT, WHOLE_TEXT
from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.docs.markdown import blocks
from tests.e2e.browser import fresh_page
from tests.e2e.slowly import DEFAULT, Slowly
from tests.fakes.provider import models_file
from tests.support.service import Service, running_service

ORIGIN = "http://app.localhost"
PATIENCE_SECONDS = 20.0
HANG_UP_SECONDS = 1.0


def example(service: Service) -> str:
    """Return the script of docs/clients.md, for this service; it logs each piece of text."""
    text = next(block.text for block in blocks("docs/clients.md") if "await fetch(" in block.text)
    return text.replace("http://127.0.0.1:8000", service.url)


def begin(page: Page, service: Service) -> list[str]:
    """Run the example in the page; return what it has logged when its first word is there, and what it will log."""
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    with page.expect_console_message():
        page.evaluate(f"window.example = (async () => {{{example(service)}}})(), null")
    return logged


def outcome(page: Page, service: Service) -> str:
    """Run the example in the page to its end; return what it threw, or `whole`."""
    run = f"(async () => {{{example(service)}; return 'whole'}})()"
    told: str = page.evaluate(f"{run}.catch((error) => error.message)")
    return told


def newest(service: Service) -> dict[str, Any]:
    statuses = ["completed", "truncated", "client_cancelled", "failed"]
    with service.client() as client:
        page = client.get("/v1/history/ana", params={"status": statuses, "limit": 1}).json()
    return dict(page["history"][0])


def test_words_are_there_as_they_come(service: Service, page: Page, slowly: Slowly) -> None:
    page.goto("/docs")
    logged = begin(page, service)
    assert logged == [FIRST_TEXT]
    slowly.may_go_on.set()
    page.evaluate("window.example")  # throws unless the answer is whole
    assert "".join(logged) == WHOLE_TEXT
    assert newest(service)["status"] == "completed"


def test_an_answer_that_breaks_is_an_error_in_the_page(
    service: Service, page: Page, provider: FaultProvider
) -> None:
    provider.override[DEFAULT] = FAULTS["cut"]
    try:
        page.goto("/docs")
        told = outcome(page, service)
    finally:
        del provider.override[DEFAULT]
    assert told == "Providers failed"
    assert newest(service)["status"] == "truncated"


@pytest.mark.realtime
@pytest.mark.parametrize("leave", ["close", "goto"])
def test_a_page_that_is_left_hangs_up_on_the_provider(
    service: Service, browser: Browser, provider: FaultProvider, slowly: Slowly, leave: str
) -> None:
    with fresh_page(browser, service.url) as (page, _):
        page.goto("/docs")
        begin(page, service)
        call = provider.calls[-1]
        assert call.ended_seconds is None
        left_seconds = time.monotonic()
        if leave == "close":
            page.close()
        else:
            page.goto("about:blank")
        while call.ended_seconds is None:
            assert time.monotonic() < left_seconds + PATIENCE_SECONDS
            time.sleep(0.005)
    assert call.ended_seconds - left_seconds < HANG_UP_SECONDS
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (kept := newest(service))["status"] != "client_cancelled":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert kept["response"] == FIRST_TEXT


def test_a_page_of_another_origin_needs_to_be_named(
    browser: Browser, provider: FaultProvider, tmp_path: Path
) -> None:
    settings = {
        "MODELS_FILE": str(models_file(tmp_path / "models.toml", provider, ["healthy"])),
        "GEM_KEY": "a-key",
    }
    for origins in ("", ORIGIN):
        with (
            running_service(tmp_path / "data", {**settings, "CORS_ORIGINS": origins}) as service,
            fresh_page(browser, ORIGIN) as (page, wrong),
        ):
            page.route(f"{ORIGIN}/", lambda route: route.fulfill(body="<title>app</title>"))
            page.goto("/")
            told = outcome(page, service)
            assert told == ("whole" if origins else "Failed to fetch"), wrong
