"""One service and one misbehaving provider for all tests of the contract; each test has users of its own."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.fakes.issuer import issuer_in_thread
from tests.fakes.provider import models_file, provider_in_thread
from tests.http.access import jwt_settings, make_key
from tests.support.guarded_service import Guarded
from tests.support.service import Service, running_service

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def provider() -> Iterator[FaultProvider]:
    with provider_in_thread() as provider:
        yield provider


@pytest.fixture(scope="session")
def settings(provider: FaultProvider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a service needs to talk to the misbehaving provider."""
    path = tmp_path_factory.mktemp("models") / "models.toml"
    return {
        "MODELS_FILE": str(models_file(path, provider, list(FAULTS))),
        "GEM_KEY": "a-key-that-must-not-leak",
    }


@pytest.fixture(scope="session")
def service(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service") / "data", settings) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[httpx2.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def user() -> str:
    """A user nobody else has."""
    return f"user-{next(_numbers)}"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="module")
def guarded(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """A service that accepts API keys and tokens, with one of each."""
    data_dir = tmp_path_factory.mktemp("guarded") / "data"
    _, backend_key = make_key(data_dir)
    _, ana_key = make_key(data_dir, user="ana")
    with (
        issuer_in_thread() as issuer,
        running_service(
            data_dir, {**settings, **jwt_settings(issuer), "TRUSTED_PROXIES": "127.0.0.1"}
        ) as service,
    ):
        yield Guarded(service, issuer, backend_key, ana_key)
