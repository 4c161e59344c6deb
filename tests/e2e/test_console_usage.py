"""The console's usage of all users: what it adds up, and who sees it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from domain.entities.caller import Scope
from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.e2e.console_page import console_page, fresh_console
from tests.fakes.provider import models_file
from tests.http.access import make_key
from tests.support.service import Service, running_service

SMALL = {"width": 360, "height": 720}


@pytest.fixture(scope="module")
def guarded(
    provider: FaultProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, str, str]]:
    """A service that asks who calls, a key of ana's and a key of an operator."""
    folder = tmp_path_factory.mktemp("guarded")
    _, key = make_key(folder / "data", user="ana")
    _, operators = make_key(folder / "data", scopes=[Scope.ADMIN_READ, Scope.HISTORY_READ])
    settings = {
        "AUTHENTICATION": "api_keys",
        "MODELS_FILE": str(models_file(folder / "models.toml", provider, list(FAULTS))),
        "GEM_KEY": "a-key",
    }
    with running_service(folder / "data", settings) as service:
        yield service, key, operators


def sign_in(page: Page, key: str, user: str = "") -> None:
    page.get_by_label("Key or token").fill(key)
    page.get_by_label("User", exact=True).fill(user)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_usage_adds_up_over_all_users(browser: Browser, service: Service) -> None:
    with console_page(browser, service, reduced_motion="reduce") as console:
        page = console.page
        with service.client() as client:
            before = client.get("/v1/usage").json()
            for user, model in (("u1", "gem-healthy"), ("u2", "gem-healthy"), ("u3", "gem-400")):
                body = {"userId": user, "userPrompt": "a secret question", "model": model}
                client.post("/v1/chat", json=body)
            usage = client.get("/v1/usage").json()
        assert usage["total"]["interactions"] == before["total"]["interactions"] + 3
        console.open()
        page.get_by_role("link", name="Usage", exact=True).press("Enter")
        expect(page.get_by_role("heading", name="Usage of all users")).to_be_focused()
        view = page.get_by_role("region", name="Usage of all users")
        expect(view.locator(".tile").first).to_contain_text(str(usage["total"]["interactions"]))
        expect(view.locator("figure.plot")).to_have_count(4)
        rows = view.locator(".groups tbody tr")
        expect(rows).to_have_count(len(usage["byModel"]))
        expect(view.locator(".groups")).to_contain_text("gem-healthy")
        view.get_by_role("radio", name="Model").focus()
        page.keyboard.press("ArrowRight")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("without authentication")
        for summary in view.locator("details.figures summary").all():
            summary.click()
        assert "secret question" not in view.inner_text()
        assert not re.search(r"\bu[123]\b", view.inner_text())
        assert console.violations() == []
        page.emulate_media(color_scheme="dark")
        assert console.violations("color-contrast") == []
        page.get_by_role("button", name="Mudar para português").click()
        expect(page.get_by_role("heading", name="Uso por todos os usuários")).to_be_visible()
        expect(page.locator(".groups tbody th:visible")).to_have_text("sem autenticação")


def test_usage_fits_a_small_screen(browser: Browser, service: Service) -> None:
    with console_page(browser, service, viewport=SMALL, reduced_motion="reduce") as console:
        console.put("hello", model="gem-healthy")
        console.open("#/usage")
        page = console.page
        expect(page.locator(".groups tbody tr").first).to_be_visible()
        widths = "[...document.querySelectorAll('html, .overview')].map((one) => one.scrollWidth)"
        assert max(page.evaluate(widths)) <= SMALL["width"]
        assert console.violations() == []


def test_only_a_credential_with_the_scope_shows_usage(
    browser: Browser, guarded: tuple[Service, str, str]
) -> None:
    service, key, operators = guarded
    with service.client(headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.post("/v1/chat", json={"userPrompt": "hi"}).status_code == 200
    with fresh_console(browser, service) as console:
        page = console.page
        link = page.get_by_role("link", name="Usage", exact=True)
        page.goto("/")
        with page.expect_response(
            lambda response: "/v1/usage?" in response.url and response.status == 403
        ):
            sign_in(page, key)
        expect(page.get_by_role("link", name="Overview", exact=True)).to_be_visible()
        expect(link).to_have_count(0)
        page.goto("/#/usage")
        expect(page.get_by_role("alert")).to_contain_text("Forbidden")
        page.locator(".who").click()
        sign_in(page, operators, "ana")
        link.click()
        view = page.get_by_role("region", name="Usage of all users")
        view.get_by_text("Key", exact=True).click()
        expect(view.locator(".groups tbody th")).to_have_text(key.split("_")[1])
        page.locator(".who").click()
        page.get_by_role("button", name="Forget the key").click()
        expect(link).to_have_count(0)
