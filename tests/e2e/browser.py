"""A real browser that reaches loopback and nobody else.

Playwright's blocking interface keeps an event loop running in its thread until it is closed, and no other loop can run
there meanwhile. So a module that uses it has no asynchronous tests, and the browser ends with the module.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # whoever runs tests in a container is root, and the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-features=LocalNetworkAccessChecks",  # else a made-up page may not reach loopback
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """The Chromium that is installed here; the test is skipped where there is none."""
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def fresh_page(browser: Browser, base_url: str, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page of a profile of its own, and what went wrong in it: errors of scripts and of the console.

    `options` are Playwright's for a profile: a language, a size of the window, a colour scheme.
    """
    context = browser.new_context(base_url=base_url, **options)
    try:
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda message: wrong.append(message.text) if message.type == "error" else None,
        )
        yield page, wrong
    finally:
        context.close()
