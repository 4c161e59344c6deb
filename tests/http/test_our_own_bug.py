"""What callers see when we fail ourselves, and who is let in: the whole application over parts a test can break."""

import json
import logging

import pytest

from app.middleware.access_gate import GateRules
from domain.entities.reply import ProviderSelected
from tests.fakes.application import ApplicationUnderTest

WHO = ProviderSelected(provider="p", model="m")
BODY = {"userId": "ana", "userPrompt": "hi"}


async def test_an_unhandled_error_is_a_problem_and_a_failed_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = ApplicationUnderTest(WHO, ZeroDivisionError("a secret in a message"))
    async with application.client() as client:
        with caplog.at_level(logging.INFO):
            response = await client.post("/v1/chat", json=BODY)
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["type"], problem["requestId"]) == (
        "/problems/internal",
        response.headers["X-Request-Id"],
    )
    assert "secret" not in response.text
    (record,) = application.history.kept.values()
    assert (record.status, record.error) == ("failed", "internal")
    assert any(line.levelname == "ERROR" and line.exc_info for line in caplog.records)


async def test_an_error_in_the_middle_of_a_stream_ends_it_with_a_problem() -> None:
    application = ApplicationUnderTest(WHO, "some", ZeroDivisionError())
    async with application.client() as client:
        response = await client.post("/v1/chat", json={**BODY, "stream": True})
    problem = json.loads(response.text.rpartition("event: error\ndata: ")[2])
    assert problem["type"] == "/problems/internal"
    assert "event: done" not in response.text
    (record,) = application.history.kept.values()
    assert (record.status, record.text) == ("truncated", "some")


async def test_only_clients_of_this_machine_are_let_in_without_authentication() -> None:
    application = ApplicationUnderTest()
    async with application.client("10.1.2.3") as client:
        for path in ("/v1/history/ana", "/docs", "/metrics", "/openapi.json", "/nothing"):
            response = await client.get(path)
            assert response.status_code == 403
            assert "ALLOW_ANONYMOUS" in response.json()["detail"]
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_every_loopback_address_is_this_machine(address: str) -> None:
    async with ApplicationUnderTest().client(address) as client:
        assert (await client.get("/v1/models")).status_code == 200


async def test_allow_anonymous_lets_anybody_in_under_any_name() -> None:
    rules = GateRules.without_authentication(allow_anonymous=True, allowed_hosts=())
    async with ApplicationUnderTest(rules=rules).client("10.1.2.3") as client:
        assert (await client.get("/v1/models", headers={"Host": "a.b"})).status_code == 200


async def test_allowed_hosts_bind_also_those_who_let_anybody_in() -> None:
    rules = GateRules.without_authentication(allow_anonymous=True, allowed_hosts=("Chat.Example",))
    async with ApplicationUnderTest(rules=rules).client("10.1.2.3") as client:
        assert (await client.get("/v1/models", headers={"Host": "evil"})).status_code == 403
        for host in ("chat.example", "chat.example:443", "localhost"):
            assert (await client.get("/v1/models", headers={"Host": host})).status_code == 200


async def test_no_origin_is_let_in_unless_it_is_named() -> None:
    ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    async with ApplicationUnderTest().client() as client:
        response = await client.options("/v1/chat", headers=ask)
        assert "access-control-allow-origin" not in response.headers
    async with ApplicationUnderTest(cors_origins=("https://a.example",)).client() as client:
        response = await client.options("/v1/chat", headers=ask)
        assert response.headers["access-control-allow-origin"] == "https://a.example"
        assert "access-control-allow-credentials" not in response.headers
        response = await client.options("/v1/chat", headers={**ask, "Origin": "https://evil"})
        assert "access-control-allow-origin" not in response.headers
        response = await client.get("/v1/models", headers={"Origin": "https://a.example"})
        assert "X-Request-Id" in response.headers["access-control-expose-headers"]


async def test_documentation_can_be_turned_off() -> None:
    async with ApplicationUnderTest(docs_enabled=False).client() as client:
        for path in ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css"):
            assert (await client.get(path)).status_code == 404
