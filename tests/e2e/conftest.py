"""The real service, asked by other people's clients."""

from collections.abc import Iterator

import pytest

from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.fakes.provider import models_file, provider_in_thread
from tests.service import Service, running_service


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
