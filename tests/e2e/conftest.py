"""The real service, asked by other people's clients."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.e2e.browser import fresh_page, running_browser
from tests.e2e.console_page import ConsolePage, console_page
from tests.e2e.slowly import DEFAULT, Slowly
from tests.fakes.provider import models_file, provider_in_thread
from tests.support.service import Service, running_service


@pytest.fixture(scope="module")
def provider() -> Iterator[FaultProvider]:
    with provider_in_thread() as provider:
        yield provider


@pytest.fixture(scope="module")
def service(provider: FaultProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    settings = {
        "MODELS_FILE": str(models_file(folder / "models.toml", provider, list(FAULTS))),
        "GEM_KEY": "a-key",
    }
    with running_service(folder / "data", settings) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module's tests; each has a page of its own, so that none sees another's storage."""
    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """An empty page of the service's origin, so `page.goto("/docs")` goes there; a script that fails fails the test."""
    with fresh_page(browser, service.url) as (page, wrong):
        yield page
    assert wrong == []


@pytest.fixture
def console(browser: Browser, service: Service) -> Iterator[ConsolePage]:
    """The console in a page of its own, for a user of its own."""
    with console_page(browser, service) as console:
        yield console


@pytest.fixture
def slowly(provider: FaultProvider) -> Iterator[Slowly]:
    """The default model, going on when it is told to."""
    slowly = provider.override[DEFAULT] = Slowly()
    yield slowly
    slowly.may_go_on.set()
    del provider.override[DEFAULT]
