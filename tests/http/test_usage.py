"""GET /v1/usage: what it adds up, who may read it, and what it refuses."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from domain.entities.caller import USER_SCOPES, Caller, Scope
from tests.fakes.application import ApplicationUnderTest
from tests.fakes.clock import START_MILLISECONDS
from tests.fakes.interactions import an_interaction
from tests.fakes.issuer import token
from tests.http.access import make_key
from tests.http.callers import WITH_CREDENTIALS, CallersByName, of
from tests.http.test_access import until_known
from tests.support.guarded_service import Guarded, chat
from tests.support.problems import is_problem

FIGURES = (
    "interactions",
    "failures",
    "inputTokens",
    "outputTokens",
    "reasoningTokens",
    "cachedInputTokens",
    "cacheWriteTokens",
    "costUsd",
)


def usage(client: httpx2.Client, **parameters: str) -> dict[str, Any]:
    response = client.get("/v1/usage", params=parameters)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert [*body] == ["from", "to", "timeZone", "total", "byDay", "byModel", "byKey"]
    for groups in (body["byDay"], body["byModel"], body["byKey"]):
        for name in FIGURES:
            known = [group[name] for group in groups if group[name] is not None]
            assert sum(known) == pytest.approx(body["total"][name] or 0)
    return body


def test_the_answers_of_all_users_add_up(client: httpx2.Client, user: str) -> None:
    asked = []
    for name, model in (("a", "gem-healthy"), ("b", "gem-healthy"), ("c", "gem-rejected")):
        body = {"userId": f"{user}-{name}", "userPrompt": "hi", "model": model}
        asked.append(client.post("/v1/chat", json=body).json())
    first = datetime.fromisoformat(asked[0]["timestamp"])
    start = first.isoformat().replace("+00:00", "Z")
    end = (datetime.now(UTC) + timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    body = usage(client, **{"from": start, "to": end})
    assert (body["from"], body["timeZone"]) == (asked[0]["timestamp"], "UTC")
    assert body["total"] == {
        "interactions": 3,
        "failures": 1,
        "inputTokens": sum(one["usage"]["inputTokens"] for one in asked[:2]),
        "outputTokens": sum(one["usage"]["outputTokens"] for one in asked[:2]),
        "reasoningTokens": sum(one["usage"]["reasoningTokens"] or 0 for one in asked[:2]),
        "cachedInputTokens": 0,
        "cacheWriteTokens": 0,
        "costUsd": pytest.approx(sum(one["usage"]["costUsd"] for one in asked[:2])),
    }
    assert [(one["key"], one["interactions"]) for one in body["byModel"]] == [
        ("gem-healthy", 2),
        ("gem-rejected", 1),
    ]
    assert [(one["key"], one["interactions"]) for one in body["byKey"]] == [("anonymous", 3)]
    assert user not in json.dumps(body)


def test_without_parameters_it_is_that_of_the_last_30_days(
    client: httpx2.Client, user: str
) -> None:
    client.post("/v1/chat", json={"userId": user, "userPrompt": "hi"})
    zone = "America/Sao_Paulo"
    body = usage(client, timeZone=zone)
    start, end = (datetime.fromisoformat(body[name]) for name in ("from", "to"))
    assert timedelta(days=29) <= end - start < timedelta(days=30, hours=1)
    assert (start.minute, start.hour) == (0, 3)
    assert body["total"]["interactions"] >= 1


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=yesterday", "query/from"),
        ("to=2026-11-22", "query/to"),
        ("from=2025-01-01T00:00:00Z&to=2026-01-02T00:00:00.001Z", "query/from"),
        ("timeZone=Nowhere", "query/timeZone"),
        ("timeZone=..%2f..%2fetc%2fpasswd", "query/timeZone"),
        ("by=user", "query/by"),
        ("userId=ana", "query/userId"),
        ("from=2026-11-22T10:00:00Z&from=2026-11-22T10:00:00Z", "query/from"),
    ],
)
def test_a_query_that_is_not_valid_is_named(
    client: httpx2.Client, query: str, pointer: str
) -> None:
    problem = is_problem(client.get(f"/v1/usage?{query}"), 422, "invalid-request")
    assert pointer in [error["pointer"] for error in problem["errors"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-11-22T10:00:00Z&to=2026-11-22T10:00:00Z",
        "from=2026-11-22T10:00:00Z&to=2026-11-21T10:00:00Z",
        "to=0001-01-01T00:00:00Z",
        "to=9999-12-31T23:59:59.999999Z&timeZone=Pacific/Kiritimati",
        "from=9999-12-31T23:59:59.999999Z&timeZone=Pacific/Kiritimati",
        "from=1969-12-31T00:00:00Z&to=1970-01-01T00:00:00Z&timeZone=Pacific/Pago_Pago",
    ],
)
def test_a_range_without_interactions_has_no_groups(client: httpx2.Client, query: str) -> None:
    body = client.get(f"/v1/usage?{query}").json()
    assert body["total"]["interactions"] == 0
    assert body["total"]["costUsd"] is None
    assert body["byDay"] == body["byModel"] == body["byKey"] == []


def test_a_range_of_366_days_is_taken(client: httpx2.Client) -> None:
    usage(client, **{"from": "2025-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"})


@pytest.fixture
def operators(guarded: Guarded) -> Iterator[httpx2.Client]:
    _, key = make_key(guarded.service.data_dir, scopes=[Scope.ADMIN_READ])
    with guarded.client(key) as client:
        deadline = time.monotonic() + 120
        while client.get("/v1/usage").status_code == 401:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield client


def test_only_credentials_with_the_scope_read_it(
    guarded: Guarded, operators: httpx2.Client
) -> None:
    for credentials in (guarded.backend_key, guarded.ana_key, token(), token(scope="chat:write")):
        with guarded.client(credentials) as client:
            assert chat(client, "ana").status_code == 200
            is_problem(client.get("/v1/usage"), 403, "forbidden")
            is_problem(client.get("/v1/usage?from=2025-01-01T00:00:00Z"), 403, "forbidden")
    with guarded.client() as client:
        is_problem(client.get("/v1/usage"), 401, "unauthenticated")
    of_key = {group["key"]: group["interactions"] for group in usage(operators)["byKey"]}
    for key in (guarded.backend_key, guarded.ana_key):
        assert of_key[key.split("_")[1]] >= 1
    assert of_key["token"] >= 2
    with guarded.client(token(scope="openid admin:read")) as client:
        assert usage(client)["total"]["interactions"] >= 4


def test_the_scope_opens_nothing_else(operators: httpx2.Client) -> None:
    for method, path in (
        ("GET", "/v1/history/ana"),
        ("GET", "/v1/history/ana/stats"),
        ("GET", "/v1/history/ana/export"),
        ("DELETE", "/v1/history/ana"),
    ):
        is_problem(operators.request(method, path), 403, "forbidden")
    assert chat(operators, "ana").status_code == 403


def test_a_key_bound_to_a_user_may_have_the_scope_too(guarded: Guarded) -> None:
    _, key = make_key(guarded.service.data_dir, user="eve", scopes=[*USER_SCOPES, Scope.ADMIN_READ])
    with guarded.client(guarded.ana_key) as client:
        assert chat(client, "ana").status_code == 200
    with guarded.client(key) as client:
        until_known(client)
        assert usage(client)["total"]["interactions"] >= 1
        is_problem(client.get("/v1/history/ana"), 403, "forbidden")


async def test_the_caller_is_authorised_before_the_store_is_read() -> None:
    operator = Caller(principal="op", scopes=frozenset({Scope.ADMIN_READ}))
    other = Caller(principal="other", scopes=USER_SCOPES)
    app = ApplicationUnderTest(
        rules=WITH_CREDENTIALS, authenticator=CallersByName(op=operator, other=other)
    )
    app.history.is_unreadable = True
    async with app.client() as client:
        assert (await client.get("/v1/usage", headers=of("other"))).status_code == 403
        unreadable = await client.get("/v1/usage", headers=of("op"))
        problem = is_problem(unreadable, 503, "history-store-unavailable")
        assert problem["retryable"] is True


async def test_what_earlier_versions_stored_has_no_key() -> None:
    app = ApplicationUnderTest()
    await app.history.append(an_interaction(1))
    start = datetime.fromtimestamp(START_MILLISECONDS / 1000, UTC)
    query = {
        "from": start.isoformat().replace("+00:00", "Z"),
        "to": (start + timedelta(days=1)).isoformat().replace("+00:00", "Z"),
    }
    async with app.client() as client:
        body = (await client.get("/v1/usage", params=query)).json()
    assert [group["key"] for group in body["byKey"]] == [None]
