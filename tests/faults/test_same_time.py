"""Whether the time an answer takes tells that a user exists: measured, so not among the short tests."""

import statistics
import time
import uuid
from pathlib import Path

import pytest

from tests.faults.ledger_scenario import RecordProperty, report_figures
from tests.http.access import bearer, make_key
from tests.support.service import running_service

# Compares durations of requests.
pytestmark = pytest.mark.realtime

TRIES = 200
MOST_DIFFERENCE_SECONDS = 0.005


@pytest.mark.faults
def test_a_refusal_takes_as_long_for_a_user_who_exists_as_for_one_who_does_not(
    tmp_path: Path, record_property: RecordProperty
) -> None:
    data_dir = tmp_path / "data"
    keys = {user: make_key(data_dir, user=user)[1] for user in ("ana", "bob")}
    settings = {"AUTHENTICATION": "api_keys", "CALLER_REQUESTS_PER_MINUTE": "1000000"}
    with running_service(data_dir, settings) as service:
        with service.client(headers=bearer(keys["bob"])) as bob:
            for _ in range(50):
                assert bob.post("/v1/chat", json={"userPrompt": "hi"}).status_code == 200
        taken: dict[bool, list[float]] = {True: [], False: []}
        with service.client(headers=bearer(keys["ana"])) as ana:
            for number in range(2 * TRIES):
                exists = number % 2 == 0
                user = "bob" if exists else str(uuid.uuid4())
                started = time.perf_counter()
                assert ana.get(f"/v1/history/{user}").status_code == 403
                taken[exists].append(time.perf_counter() - started)
    medians = [statistics.median(times) for times in taken.values()]
    difference_seconds = abs(medians[0] - medians[1])
    report_figures(
        f"a 403 took {medians[0] * 1000:.2f} ms for one who exists, {medians[1] * 1000:.2f} ms for one who does not",
        record_property,
    )
    assert difference_seconds < MOST_DIFFERENCE_SECONDS
