"""How long it takes to be told an answer again: measured, so not among the short tests."""

import time
from pathlib import Path

import httpx2
import pytest

from tests.fakes.provider import models_file, provider_in_thread
from tests.faults.ledger_scenario import RecordProperty, report_figures
from tests.support.keyed_requests import DOORS, send
from tests.support.service import running_service

# Measures how long a request takes.
pytestmark = pytest.mark.realtime

REPLAYS = 100
ROUNDS = 5
P99_SECONDS = 0.020


def p99_seconds(client: httpx2.Client, door: str, first: httpx2.Response) -> float:
    """Send it a hundred times more, each the same answer; return how long all but one took at the most."""
    taken = []
    for _ in range(REPLAYS):
        started = time.perf_counter()
        again = send(client, door, "ana")
        taken.append(time.perf_counter() - started)
        assert again.json() == first.json()
        assert again.headers["Idempotency-Replayed"] == "true"
    return sorted(taken)[REPLAYS * 99 // 100 - 1]


@pytest.mark.faults
def test_a_hundred_replays_take_twenty_milliseconds_at_the_most_and_ask_nobody(
    tmp_path: Path, record_property: RecordProperty
) -> None:
    """The quickest of a few rounds counts: whatever else this machine does slows the others."""
    with provider_in_thread() as provider:
        models = models_file(tmp_path / "models.toml", provider, ["healthy"])
        settings = {"MODELS_FILE": str(models), "GEM_KEY": "k"}
        with running_service(tmp_path / "data", settings) as service, service.client() as client:
            for door in DOORS:
                first = send(client, door, "ana")
                calls = len(provider.calls)
                quickest = min(p99_seconds(client, door, first) for _ in range(ROUNDS))
                assert len(provider.calls) == calls
                told = f"{door}: p99 of {REPLAYS} replays {quickest * 1000:.1f} ms"
                report_figures(told, record_property)
                assert quickest <= P99_SECONDS
