"""GET /v1/history/{userId}/stats."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest


def ask(client: httpx2.Client, user: str, model: str) -> dict[str, Any]:
    body = {"userId": user, "userPrompt": "hi", "model": model}
    return dict(client.post("/v1/chat", json=body).json())


def figures(client: httpx2.Client, user: str, **parameters: str) -> list[dict[str, Any]]:
    response = client.get(f"/v1/history/{user}/stats", params=parameters)
    assert response.status_code == 200, response.text
    body = response.json()
    assert [*body] == ["groups"]
    return list(body["groups"])


def test_what_was_asked_adds_up(client: httpx2.Client, user: str) -> None:
    answers = [ask(client, user, "gem-healthy") for _ in range(3)]
    ask(client, user, "gem-rejected")
    ask(client, user, "alt-healthy")
    by_model = figures(client, user, by="model")
    assert [group["key"] for group in by_model] == ["alt-healthy", "gem-healthy", "gem-rejected"]
    healthy, rejected = by_model[1:]
    seconds = sorted(answer["llmResponseSeconds"] for answer in answers)
    assert healthy == {
        "key": "gem-healthy",
        "interactions": 3,
        "failures": 0,
        "inputTokens": sum(answer["usage"]["inputTokens"] for answer in answers),
        "cachedInputTokens": sum(answer["usage"].get("cachedInputTokens", 0) for answer in answers),
        "cacheWriteTokens": sum(answer["usage"].get("cacheWriteTokens", 0) for answer in answers),
        "outputTokens": sum(answer["usage"]["outputTokens"] for answer in answers),
        "costUsd": pytest.approx(sum(answer["usage"]["costUsd"] for answer in answers)),
        "latencySeconds": {"p50": pytest.approx(seconds[1], abs=0.001), "p95": pytest.approx(seconds[2], abs=0.02)},
    }  # fmt: skip
    assert (rejected["interactions"], rejected["failures"]) == (1, 1)
    assert rejected["costUsd"] is None
    assert rejected["latencySeconds"] == {"p50": None, "p95": None}
    by_provider = figures(client, user, by="provider")
    assert [(one["key"], one["interactions"]) for one in by_provider] == [("alt", 1), ("gem", 4)]
    by_day = figures(client, user)
    assert [one["key"] for one in by_day] == sorted(
        {answer["timestamp"][:10] for answer in answers} | {one["key"] for one in by_day}
    )
    assert sum(one["interactions"] for one in by_day) == 5


def test_a_range_of_time_is_half_open(client: httpx2.Client, user: str) -> None:
    times = [ask(client, user, "alt-healthy")["timestamp"] for _ in range(3)]
    (found,) = figures(client, user, by="model", **{"from": times[1], "to": times[2]})
    assert found["interactions"] == 1 + (times[0] == times[1])
    assert figures(client, user, **{"from": times[1], "to": times[1]}) == []
    assert figures(client, user, **{"from": times[2], "to": times[0]}) == []
    assert figures(client, user, to="1969-01-01T00:00:00Z") == []


def test_an_unknown_user_has_no_groups(client: httpx2.Client) -> None:
    assert figures(client, "nobody-yet") == []


@pytest.mark.parametrize(
    "query",
    [
        "by=user",
        "by=",
        "by=day&by=model",
        "from=yesterday",
        "to=2026-11-22",
        "from=2026-11-22T10:00:00",
        "limit=1",
        "cursor=abc",
        "By=day",
        "timezone=UTC",
    ],
)
def test_wrong_parameters_are_refused(client: httpx2.Client, user: str, query: str) -> None:
    response = client.get(f"/v1/history/{user}/stats?{query}")
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    assert client.get("/v1/history/=/stats").status_code == 422


@pytest.mark.seen("E9")
def test_days_are_those_of_the_time_zone_asked_for(client: httpx2.Client, user: str) -> None:
    times = [ask(client, user, "alt-healthy")["timestamp"] for _ in range(2)]
    for zone in (
        "UTC",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "America/Argentina/Ushuaia",
        "Etc/GMT+12",
    ):
        days = {
            datetime.fromisoformat(one).astimezone(ZoneInfo(zone)).date().isoformat()
            for one in times
        }
        assert {one["key"] for one in figures(client, user, timeZone=zone)} == days
        assert sum(one["interactions"] for one in figures(client, user, timeZone=zone)) == 2
    by_model = figures(client, user, by="model", timeZone="Asia/Tokyo")
    assert by_model == figures(client, user, by="model")


@pytest.mark.seen("E9")
@pytest.mark.parametrize(
    "name",
    [
        *("", "Mars/Olympus", "+02:00", "GMT+25", "../UTC", "/etc/localtime", "localtime"),
        *(
            "posix/UTC",
            "right/UTC",
            "Europe",
            "zone.tab",
            "leapseconds",
            "Europe/Berlin ",
            "x" * 65,
        ),
        *("Europe/Berlin\x00", "Zürich"),
    ],
)
def test_an_unknown_time_zone_is_refused_by_name(
    client: httpx2.Client, user: str, name: str
) -> None:
    response = client.get(f"/v1/history/{user}/stats", params={"timeZone": name})
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    assert [one["pointer"] for one in response.json()["errors"]] == ["query/timeZone"]
    assert len(name) < 3 or name not in response.text.replace("America/Sao_Paulo", "")


def test_only_reading_is_offered(client: httpx2.Client, user: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = client.request(method, f"/v1/history/{user}/stats")
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]
