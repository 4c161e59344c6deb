"""The console as a reader of the page sees it."""

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Locator, Page, expect

from infra.selftest.exchange import Exchange
from tests.e2e.browser import fresh_page
from tests.support.service import Service

PATIENCE_MILLISECONDS = 20_000
STATUSES = (
    "completed",
    "truncated",
    "client_cancelled",
    "blocked",
    "failed",
    "interrupted",
    "in_progress",
)
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_REFUSED = "Failed to load resource"  # an answer that is a problem, which the page shows
_numbers = itertools.count(1)

expect.set_options(timeout=PATIENCE_MILLISECONDS)


class Dictated:
    """A provider's answer that comes as the test says it: `say` sends a piece, `end` ends it."""

    def __init__(self) -> None:
        self._pieces: list[str | None] = []
        self._said = threading.Condition()

    def say(self, *pieces: str) -> None:
        self._put(*pieces)

    def end(self) -> None:
        self._put(None)

    def _put(self, *pieces: str | None) -> None:
        with self._said:
            self._pieces += pieces

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.begin()
        for number in itertools.count():
            while len(self._pieces) <= number:
                if await exchange.hangs_up_within(0.01):
                    return
            piece = self._pieces[number]
            if piece is None:
                break
            await exchange.text(piece)
        await exchange.finish()


@dataclass(frozen=True)
class ConsolePage:
    """A page with the console, and the API beside it to see what really happened."""

    page: Page
    service: Service
    user: str

    def open(self, address: str = "#/chat") -> None:
        self.page.goto(f"/{address}")
        expect(self.model.locator("option").first).to_be_attached()

    def ask(self, question: str, model: str | None = None) -> Locator:
        """Ask the way a reader does; return the turn that appears."""
        if model is not None:
            self.model.select_option(model)
        before = self.turns.count()
        self.prompt.fill(question)
        self.prompt.press("Enter")
        turn = self.turns.nth(before)
        expect(turn).to_be_visible()
        return turn

    def asked(self, question: str, model: str | None = None) -> Locator:
        """Ask, and wait for the end of the answer."""
        turn = self.ask(question, model)
        expect(self.page.get_by_role("button", name="Send", exact=True)).to_be_visible()
        return turn

    def options(self) -> Locator:
        """Open the options of the chat and return their panel."""
        self.page.locator(".options summary").click()
        return self.page.locator(".options-body")

    def offer_tool(self, parameters: Any) -> None:
        """Offer the tool `get_weather` with these parameters to the model."""
        panel = self.options()
        panel.get_by_label("Name").fill("get_weather")
        panel.get_by_label("Description").fill("Returns the weather of a city.")
        panel.get_by_label("Parameters").fill(json.dumps(parameters))
        self.page.keyboard.press("Escape")

    @property
    def prompt(self) -> Locator:
        return self.page.locator(".composer > textarea")

    @property
    def model(self) -> Locator:
        return self.page.locator(".composer-bar > .select select")

    @property
    def turns(self) -> Locator:
        return self.page.locator(".turn")

    @property
    def items(self) -> Locator:
        return self.page.locator(".item")

    def kept(self) -> list[dict[str, Any]]:
        """What history has of this user, newest first."""
        with self.service.client() as client:
            parameters = {"status": STATUSES, "limit": 100}
            found = client.get(f"/v1/history/{self.user}", params=parameters)
        interactions: list[dict[str, Any]] = found.json()["history"]
        return interactions

    def put(self, *questions: str, **fields: Any) -> None:
        """Ask these without the page."""
        with self.service.client() as client:
            for question in questions:
                body = {"userId": self.user, "userPrompt": question, **fields}
                client.post("/v1/chat", json=body)

    def violations(self, rule: str | None = None) -> Sequence[str]:
        """What axe has against the page as it stands: WCAG 2.2 AA and good practice, or one rule alone."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        only = {"type": "rule", "values": [rule]} if rule else {"type": "tag", "values": AXE_TAGS}
        results = self.page.evaluate(
            "(only) => axe.run({ runOnly: only, resultTypes: ['violations'] })", only
        )
        return [
            f"{one['id']}: {node['html']}" for one in results["violations"] for node in one["nodes"]
        ]


@contextmanager
def fresh_console(
    browser: Browser, service: Service, user: str = "", **options: Any
) -> Iterator[ConsolePage]:
    """The console as it is for who comes for the first time; a script that fails, or a breach of the page's policy, fails the test."""
    with fresh_page(browser, service.url, **options) as (page, wrong):
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        yield ConsolePage(page, service, user)
    assert [text for text in wrong if not text.startswith(_REFUSED)] == []


@contextmanager
def console_page(browser: Browser, service: Service, **options: Any) -> Iterator[ConsolePage]:
    """The console for a user nobody else has."""
    user = f"reader-{next(_numbers)}"
    with fresh_console(browser, service, user, **options) as console:
        console.page.add_init_script(f"sessionStorage.setItem('rt-console-user', '{user}')")
        yield console
