"""HISTORY_RETENTION_DAYS, at a scale at which days are seconds."""

import sqlite3
import time
from pathlib import Path

import httpx2
import pytest

from infra.history.sqlite.store import HISTORY_FILE
from infra.settings import Settings
from tests.support.service import running_service

SECONDS = 3.0
PATIENCE_SECONDS = 120.0


def counts(client: httpx2.Client) -> dict[str, int]:
    stats = client.get("/v1/history/ana/stats").json()["groups"]
    return {
        "page": len(client.get("/v1/history/ana").json()["history"]),
        "search": len(client.get("/v1/history/ana?q=hello").json()["history"]),
        "export": client.get("/v1/history/ana/export").text.count("\n"),
        "stats": sum(group["interactions"] for group in stats),
    }


def test_what_has_been_kept_long_enough_is_gone(data_dir: Path) -> None:
    settings = {"HISTORY_RETENTION_DAYS": str(SECONDS / 86_400)}
    with running_service(data_dir, settings) as service, service.client() as client:
        asked = client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hello"}).json()["id"]
        url = f"/v1/history/ana/{asked}"
        assert client.get(url).status_code == 200
        assert set(counts(client).values()) == {1}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while client.get(url).status_code != 404:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert set(counts(client).values()) == {0}
        client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hello again"})
        assert set(counts(client).values()) == {1}


def test_for_ever_is_the_default(data_dir: Path) -> None:
    with running_service(data_dir) as service, service.client() as client:
        client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hello"})
    with sqlite3.connect(data_dir / HISTORY_FILE) as connection:
        connection.execute("DROP TRIGGER IF EXISTS changed_is_said")
        old = "00000000-0001-7000-8000-000000000000"
        connection.execute(
            "UPDATE interaction SET id = ?, body = json_set(body, '$.id', ?)", (old, old)
        )
    with running_service(data_dir) as service, service.client() as client:
        assert [one["id"] for one in client.get("/v1/history/ana").json()["history"]] == [old]


@pytest.mark.parametrize("value", ["0", "-1", "a week"])
def test_no_time_at_all_is_no_setting(value: str) -> None:
    with pytest.raises(ValueError, match="history_retention_days"):
        Settings(_env_file=None, history_retention_days=value)
