"""The console and the documentation in a real browser, below a path of a real proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.e2e.browser import fresh_page
from tests.fakes.provider import models_file
from tests.http.nginx import nginx_before
from tests.support.service import running_service


@pytest.fixture(scope="module", params=[False, True], ids=["path taken off", "path kept"])
def address(
    request: pytest.FixtureRequest,
    provider: FaultProvider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Where nginx shows a service, without the path."""
    folder: Path = tmp_path_factory.mktemp("below")
    settings = {
        "MODELS_FILE": str(models_file(folder / "models.toml", provider, list(FAULTS))),
        "GEM_KEY": "a-key",
        "TRUSTED_PROXIES": "127.0.0.1",
        **({"ROOT_PATH": "/ai"} if request.param else {}),
    }
    with (
        running_service(folder / "data", settings) as service,
        nginx_before(service.port, folder, keeps_prefix=request.param) as url,
    ):
        yield url


@pytest.mark.seen("C6")
def test_the_console_asks_and_shows_history_below_the_path(browser: Browser, address: str) -> None:
    with fresh_page(browser, address) as (page, wrong):
        page.goto("/ai")
        expect(page).to_have_url(f"{address}/ai/")
        expect(page.locator(".composer select option").first).to_be_attached()
        page.locator(".composer > textarea").fill("Are you there?")
        page.locator(".composer > textarea").press("Enter")
        expect(page.locator(".turn")).to_contain_text("All is well.")
        page.goto("/ai/#/history")
        expect(page.locator(".item")).to_have_count(1)
        expect(page.locator("#standing.is-good, #standing.is-warn")).to_be_visible()
    assert wrong == []


@pytest.mark.seen("C6")
def test_the_documentation_tries_requests_out_below_the_path(
    browser: Browser, address: str
) -> None:
    with fresh_page(browser, address) as (page, wrong):
        page.goto("/ai/docs")
        page.locator(
            "#operations-models-list_models_v1_models_get, [id*=list_models]"
        ).first.click()
        page.get_by_role("button", name="Try it out").click()
        with page.expect_response(f"{address}/ai/v1/models") as answered:
            page.get_by_role("button", name="Execute").click()
        assert answered.value.status == 200
    assert wrong == []
