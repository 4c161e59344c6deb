"""The host's clock steps, forwards and back, by an hour and by a day: nobody notices."""

from pathlib import Path

import httpx2
import pytest

from tests.support.mongod import shared_mongo_uri
from tests.support.service import ROOT, Service, running_service

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
OFFSETS_SECONDS = (0, HOUR_SECONDS, 0, -HOUR_SECONDS, 0, DAY_SECONDS, 0, -DAY_SECONDS, 0)
TIMES = 4
"""Questions after each step: plain, streamed, with a key, and the same key again."""


@pytest.mark.parametrize("has_store", [False, True], ids=["embedded", "outbox"])
def test_steps_of_the_clock_cost_nothing(tmp_path: Path, has_store: bool) -> None:
    switch = tmp_path / "switch"
    settings = {
        "ODD_SWITCH": str(switch),
        "PYTHONPATH": str(ROOT),
        **({"MONGO_URI": shared_mongo_uri(), "MONGO_DB": tmp_path.name[:30]} if has_store else {}),
    }
    asked: list[str] = []
    with (
        running_service(
            tmp_path / "data", settings, program=("-m", "tests.faults.odd_host")
        ) as service,
        service.client() as client,
    ):
        for step, offset_seconds in enumerate(OFFSETS_SECONDS):
            switch.write_text(str(offset_seconds))
            asked += _asked(client, f"key-{step}")
            ready = client.get("/health/ready")
            assert (ready.status_code, ready.json()["degraded"]) == (200, [])
        assert asked == sorted(set(asked)), "ids grow in a process, whatever its clock does"
        assert _history(client) == asked
        assert _slowest_seconds(service) < 30.0
        assert service.stop() == 0


def _asked(client: httpx2.Client, key: str) -> list[str]:
    """Ask once in each way, and return the ids of the interactions there have to be."""
    body = {"userId": "ana", "userPrompt": "hi"}
    plain = client.post("/v1/chat", json=body)
    streamed = client.post("/v1/chat", json=body | {"stream": True})
    keyed, again = (
        client.post("/v1/chat", json=body, headers={"Idempotency-Key": key}) for _ in range(2)
    )
    assert [one.status_code for one in (plain, streamed, keyed, again)] == [200] * TIMES
    assert "event: done" in streamed.text
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["id"] == keyed.json()["id"]
    return [one.headers["X-Interaction-Id"] for one in (plain, streamed, keyed)]


def _history(client: httpx2.Client) -> list[str]:
    """Return the ids of the whole history, oldest first, once all of it can be seen."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/v1/history/ana", params={"limit": 10, "order": "asc", **cursor}).json()
        found += [item["id"] for item in page["history"]]
        if page["nextCursor"] is None:
            return found
        cursor = {"cursor": page["nextCursor"]}


def _slowest_seconds(service: Service) -> float:
    """Return what the slowest request took by the service's own account, which a step must not enter."""
    lines = [line for line in service.lines() if "event" in line and "duration" in line["event"]]
    assert lines
    return max(float(line["event"]["duration"]) for line in lines) / 1e9
