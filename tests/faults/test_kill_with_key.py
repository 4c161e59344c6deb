"""Requests with a key over twenty crashes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.selftest.provider import FaultProvider
from tests.fakes.provider import models_file, provider_in_thread
from tests.support.keyed_requests import killed_in_flight

KILLS = 20


@pytest.fixture
def provider() -> Iterator[FaultProvider]:
    with provider_in_thread() as provider:
        yield provider


@pytest.mark.faults
def test_twenty_processes_killed_in_flight_leave_one_record_each(
    tmp_path: Path, provider: FaultProvider
) -> None:
    models = models_file(tmp_path / "models.toml", provider, ["healthy"])
    settings = {"MODELS_FILE": str(models), "GEM_KEY": "k"}
    killed_in_flight(settings, tmp_path / "data", provider, kills=KILLS)
