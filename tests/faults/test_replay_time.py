"""How long it takes to be told an answer again: measured, so not among the short tests."""

import time
from pathlib import Path

import pytest

from tests.fakes.provider import models_file, provider_in_thread
from tests.faults.ledger_scene import RecordProperty, tell
from tests.http.test_idempotency import DOORS, send
from tests.service import running_service

REPLAYS = 100
P99_SECONDS = 0.020


@pytest.mark.faults
def test_a_hundred_replays_take_twenty_milliseconds_at_the_most_and_ask_nobody(
    tmp_path: Path, record_property: RecordProperty
) -> None:
    with provider_in_thread() as provider:
        models = models_file(tmp_path / "models.toml", provider, ["healthy"])
        settings = {"MODELS_FILE": str(models), "GEM_KEY": "k"}
        with running_service(tmp_path / "data", settings) as service, service.client() as client:
            for door in DOORS:
                first = send(client, door, "ana")
                calls = len(provider.calls)
                taken = []
                for _ in range(REPLAYS):
                    started = time.perf_counter()
                    again = send(client, door, "ana")
                    taken.append(time.perf_counter() - started)
                    assert again.json() == first.json()
                    assert again.headers["Idempotency-Replayed"] == "true"
                assert len(provider.calls) == calls
                p99 = sorted(taken)[REPLAYS * 99 // 100 - 1]
                tell(f"{door}: p99 of {REPLAYS} replays {p99 * 1000:.1f} ms", record_property)
                assert p99 <= P99_SECONDS
