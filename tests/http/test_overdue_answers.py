"""BACKGROUND_SECONDS, for an answer in progress whose process is gone for good."""

import sqlite3
from pathlib import Path

import orjson
import pytest

from infra.history.sqlite.store import HISTORY_FILE
from tests.support.service import running_service

OLD_ID = "00000000-0001-7000-8000-000000000000"
A_CENTURY_SECONDS = "3155760000"


@pytest.mark.parametrize(
    ("settings", "shown", "hidden"),
    [
        ({}, "interrupted", "in_progress"),
        ({"BACKGROUND_SECONDS": A_CENTURY_SECONDS}, "in_progress", "interrupted"),
    ],
    ids=["overdue", "not yet"],
)
def test_every_read_shows_whether_it_is_overdue(
    data_dir: Path, settings: dict[str, str], shown: str, hidden: str
) -> None:
    with running_service(data_dir) as service, service.client() as client:
        client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hello"})
    with sqlite3.connect(data_dir / HISTORY_FILE) as connection:
        connection.execute("DROP TRIGGER changed_is_said")
        connection.execute(
            "UPDATE interaction SET id = ?1, status = 'in_progress', answered = 0,"
            " body = json_remove(json_set(body, '$.id', ?1, '$.status', 'in_progress'), '$.answered')",
            (OLD_ID,),
        )
    with running_service(data_dir, settings) as service, service.client() as client:

        def listed(**filters: str) -> list[str]:
            page = client.get("/v1/history/ana", params=filters).json()["history"]
            return [found["status"] for found in page]

        assert client.get(f"/v1/history/ana/{OLD_ID}").json()["status"] == shown
        assert listed(status=shown) == [shown]
        assert listed(status=shown, q="hello") == [shown]
        assert listed(status=hidden) == listed() == []
        exported = client.get("/v1/history/ana/export").text.splitlines()
        assert [orjson.loads(line)["status"] for line in exported] == [shown]
        assert client.get("/v1/history/ana/stats").json()["groups"][0]["failures"] == 0
