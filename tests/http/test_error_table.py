"""Every row of the error table, provoked over HTTP: the status, the slug, and what is recorded."""

import json
import threading
import time
import uuid
from pathlib import Path

import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.support.problems import CANARY, MALFORMED, a_body, is_problem, kept
from tests.support.service import Service, running_service


def chat(client: httpx2.Client, user: str, **body: object) -> httpx2.Response:
    return client.post("/v1/chat", json={"userId": user, "userPrompt": CANARY, **body})


def raw(client: httpx2.Client, body: bytes, **headers: str) -> httpx2.Response:
    return client.post(
        "/v1/chat", content=body, headers={"content-type": "application/json", **headers}
    )


@pytest.mark.parametrize("case", MALFORMED)
def test_a_body_that_is_not_plain_json_is_malformed(
    client: httpx2.Client, user: str, case: str
) -> None:
    is_problem(raw(client, MALFORMED[case](user)), 400, "malformed-body")
    assert kept(client, user) == []


INVALID: dict[str, tuple[bytes, str]] = {
    "not an object": (b"[]", "/"),
    "no prompt": (b'{"userId":"u"}', "/userPrompt"),
    "no user": (b'{"userPrompt":"x"}', "/userId"),
    "empty prompt": (a_body("u", userPrompt='""'), "/userPrompt"),
    "prompt of another type": (a_body("u", userPrompt="5"), "/userPrompt"),
    "NUL in the prompt": (a_body("u", userPrompt='"a\\u0000b"'), "/userPrompt"),
    "NUL in the system prompt": (a_body("u", systemPrompt='"\\u0000"'), "/systemPrompt"),
    "a prompt of 128 KiB and a byte": (a_body("u", userPrompt='"' + "x" * 131_073 + '"'), "/userPrompt"),
    "a prompt of 128 KiB in fewer characters": (
        a_body("u", userPrompt='"' + "é" * 65_537 + '"'),
        "/userPrompt",
    ),
    "a system prompt of 32 KiB and a byte": (
        a_body("u", systemPrompt='"' + "x" * 32_769 + '"'),
        "/systemPrompt",
    ),
    "a user id with a slash": (a_body("a/b"), "/userId"),
    "a user id of 129": (a_body("u" * 129), "/userId"),
    "a user id of 100000": (a_body("u" * 100_000), "/userId"),
    "a user id that starts with a dot": (a_body(".u"), "/userId"),
    "an object for a user": (b'{"userId":{"$gt":""},"userPrompt":"x"}', "/userId"),
    "too hot": (a_body("u", temperature="2.01"), "/temperature"),
    "below zero": (a_body("u", temperature="-0.1"), "/temperature"),
    "a temperature in quotes": (a_body("u", temperature='"1"'), "/temperature"),
    "a true temperature": (a_body("u", temperature="true"), "/temperature"),
    "no tokens": (a_body("u", maxOutputTokens="0"), "/maxOutputTokens"),
    "more tokens than the model gives": (a_body("u", maxOutputTokens="1025"), "/maxOutputTokens"),
    "a fraction of a token": (a_body("u", maxOutputTokens="1.5"), "/maxOutputTokens"),
    "a stream of another type": (a_body("u", stream="1"), "/stream"),
    "an unfit conversation": (a_body("u", conversationId='"a b"'), "/conversationId"),
    "an unknown field": (a_body("u", apiUrl='"http://evil"'), "/apiUrl"),
    "an unknown field with an odd name": (a_body("u", **{"<b>": "1"}), "/?"),
}  # fmt: skip


@pytest.mark.parametrize("case", INVALID)
def test_a_field_that_is_not_valid_is_named(client: httpx2.Client, case: str) -> None:
    body, pointer = INVALID[case]
    problem = is_problem(raw(client, body), 422, "invalid-request")
    assert pointer in [error["pointer"] for error in problem["errors"]]  # type: ignore[attr-defined]
    assert problem["retryable"] is False


@pytest.mark.parametrize("number", ["1e400", "9" * 5000])
def test_a_number_beyond_all_numbers_is_refused(
    client: httpx2.Client, user: str, number: str
) -> None:
    is_problem(raw(client, a_body(user, maxOutputTokens=number)), 400, "malformed-body")
    assert kept(client, user) == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "query/limit"),
        ("limit=101", "query/limit"),
        ("limit=1000000", "query/limit"),
        ("limit=ten", "query/limit"),
        ("limit=1&limit=2", "query/limit"),
        ("order=up", "query/order"),
        ("status=done", "query/status/0"),
        ("from=yesterday", "query/from"),
        ("from=1700000000", "query/from"),
        ("to=2026-01-01T00:00:00", "query/to"),
        ("wait=6", "query/wait"),
        ("wait=nan", "query/wait"),
        ("afterId=5", "query/afterId"),
        ("conversationId=a%00b", "query/conversationId"),
        ("model[$ne]=x", "query/?"),
        ("sort=$where", "query/sort"),
    ],
)
def test_a_query_that_is_not_valid_is_named(
    client: httpx2.Client, user: str, query: str, pointer: str
) -> None:
    problem = is_problem(client.get(f"/v1/history/{user}?{query}"), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/v1/history/%00", "/v1/history/a%0d%0ab", "/v1/history/é"])
def test_an_unfit_user_in_the_path_is_named(client: httpx2.Client, path: str) -> None:
    problem = is_problem(client.get(path), 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == "path/userId"  # type: ignore[index]


def test_an_unfit_id_is_named(client: httpx2.Client, user: str) -> None:
    for call in (client.get, client.delete):
        is_problem(call(f"/v1/history/{user}/not-an-id"), 422, "invalid-request")


@pytest.mark.parametrize("value", ["2999", "-1", "soon", "1e4", ""])
def test_an_unfit_timeout_is_named(client: httpx2.Client, user: str, value: str) -> None:
    response = raw(client, a_body(user), **{"X-Request-Timeout-Ms": value})
    problem = is_problem(response, 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == "header/X-Request-Timeout-Ms"  # type: ignore[index]
    assert kept(client, user) == []


def test_a_timeout_beyond_the_default_is_clamped(client: httpx2.Client, user: str) -> None:
    assert raw(client, a_body(user), **{"X-Request-Timeout-Ms": "99999999"}).status_code == 200


def test_an_unknown_model_tells_which_exist(client: httpx2.Client, user: str) -> None:
    problem = is_problem(chat(client, user, model=CANARY), 422, "unknown-model")
    (error,) = problem["errors"]  # type: ignore[misc]
    assert error["pointer"] == "/model"
    assert "gem-healthy" in error["message"]
    assert kept(client, user) == []


def test_a_retired_model_names_its_successor(tmp_path: Path, data_dir: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(
        'default = "new"\n[providers.p]\nkind = "openai"\nbase_url = "http://127.0.0.1:1"\n'
        '[models.new]\nprovider = "p"\ncontext_tokens = 10\nmax_output_tokens = 10\n'
        '[models.old]\nprovider = "p"\ncontext_tokens = 10\nmax_output_tokens = 10\n'
        'shutdown_date = 2026-01-01\nsuccessor = "new"\n'
    )
    with (
        running_service(data_dir, {"MODELS_FILE": str(file)}) as service,
        service.client() as client,
    ):
        problem = is_problem(chat(client, "ana", model="old"), 422, "unknown-model")
        assert "new" in problem["errors"][0]["message"]  # type: ignore[index]


def test_unknown_routes_and_methods(client: httpx2.Client, user: str) -> None:
    is_problem(client.get("/v1/nothing"), 404, "not-found")
    is_problem(client.get("/v1/chat/"), 404, "not-found")
    is_problem(client.get(f"/v1/history/{user}/{uuid.uuid4()}"), 404, "not-found")
    response = client.put("/v1/chat")
    is_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "POST"
    is_problem(client.post(f"/v1/history/{user}"), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "", "application/json; charset=utf-16"]
)
def test_another_media_type(client: httpx2.Client, user: str, content_type: str) -> None:
    response = client.post("/v1/chat", content=a_body(user), headers={"content-type": content_type})
    is_problem(response, 415, "unsupported-media-type")
    assert kept(client, user) == []


def test_a_body_over_32_mib_is_too_large_also_when_chunked(
    client: httpx2.Client, user: str
) -> None:
    big = b" " * (32 * 1024 * 1024 + 1)
    is_problem(raw(client, big), 413, "body-too-large")

    def chunks():  # type: ignore[no-untyped-def]
        for start in range(0, len(big), 1_000_000):
            yield big[start : start + 1_000_000]

    response = client.post(
        "/v1/chat", content=chunks(), headers={"content-type": "application/json"}
    )
    is_problem(response, 413, "body-too-large")


def test_a_uri_over_8_kib_and_headers_over_16_kib(service: Service, user: str) -> None:
    with service.client() as client:
        is_problem(client.get(f"/v1/history/{user}?cursor={'x' * 9000}"), 414, "uri-too-long")
    with service.client() as client:
        response = client.get("/health/live", headers={"X-Big": "x" * 17_000})
        is_problem(response, 431, "headers-too-large")


def test_another_host_is_refused_but_not_its_probes(client: httpx2.Client, user: str) -> None:
    evil = {"Host": "evil.example"}
    for path in (f"/v1/history/{user}", "/docs", "/metrics", "/nothing"):
        problem = is_problem(client.get(path, headers=evil), 403, "forbidden")
        assert "ALLOWED_HOSTS" in str(problem["detail"])
    for host in ("localhost", "127.0.0.1:8000", "[::1]:80", "LocalHost"):
        assert client.get("/v1/models", headers={"Host": host}).status_code == 200
    assert client.get("/health/live", headers=evil).status_code == 200


@pytest.mark.parametrize("prefix", ["gem", "alt"])
@pytest.mark.parametrize(
    ("fault", "status", "slug", "recorded", "outcome"),
    [
        ("blocked", 422, "content-blocked", "blocked", "blocked"),
        ("context-too-long", 422, "context-too-long", "failed", "context_too_long"),
        ("rejected", 422, "provider-rejected", "failed", "rejected"),
        ("503", 502, "providers-failed", "failed", "unavailable"),
        ("empty", 502, "providers-failed", "failed", "unavailable"),
        ("malformed-json", 502, "providers-failed", "failed", "unavailable"),
        ("error-in-200", 502, "providers-failed", "failed", "unavailable"),
        ("redirect", 502, "providers-failed", "failed", "unavailable"),
        ("bad-key", 503, "provider-misconfigured", "failed", "misconfigured"),
    ],
)
def test_what_a_provider_does_becomes_a_problem_and_a_record(
    client: httpx2.Client,
    user: str,
    prefix: str,
    fault: str,
    status: int,
    slug: str,
    recorded: str,
    outcome: str,
) -> None:
    response = chat(client, user, model=f"{prefix}-{fault}")
    problem = is_problem(response, status, slug)
    assert problem["attempts"][-1]["outcome"] == outcome  # type: ignore[index]
    if status >= 500:
        assert int(response.headers["Retry-After"]) in range(1, 61)
    (record,) = kept(client, user)
    assert (record["status"], record["error"], record["response"]) == (recorded, slug, "")
    assert record["id"] == response.headers["X-Interaction-Id"]


@pytest.mark.realtime  # bounds the time until the answer
@pytest.mark.parametrize("fault", ["silent", "slow-first-token"])
def test_silence_is_a_timeout(
    client: httpx2.Client, user: str, provider: FaultProvider, fault: str
) -> None:
    started = time.monotonic()
    response = chat_within(client, user, f"gem-{fault}", 3000)
    is_problem(response, 504, "provider-timeout")
    assert time.monotonic() - started < 10
    (record,) = kept(client, user)
    assert (record["status"], record["error"]) == ("failed", "provider-timeout")


def test_a_stall_keeps_the_text_and_tells_the_cause(client: httpx2.Client, user: str) -> None:
    is_problem(chat_within(client, user, "gem-stall", 3000), 504, "provider-timeout")
    (record,) = kept(client, user)
    assert (record["status"], record["response"]) == ("truncated", "All ")


def chat_within(client: httpx2.Client, user: str, model: str, milliseconds: int) -> httpx2.Response:
    return client.post(
        "/v1/chat",
        json={"userId": user, "userPrompt": CANARY, "model": model},
        headers={"X-Request-Timeout-Ms": str(milliseconds)},
    )


def test_a_route_that_rests_is_not_asked(settings: dict[str, str], data_dir: Path) -> None:
    with running_service(data_dir, settings) as service, service.client() as client:
        for _ in range(3):  # two attempts each: the fifth failure opens the circuit
            response = chat(client, "ana", model="gem-503")
        response = chat(client, "ana", model="gem-503")
        is_problem(response, 503, "providers-unavailable")
        assert int(response.headers["Retry-After"]) in range(1, 61)
        ready = client.get("/health/ready").json()
        assert ready["status"] == "ready"
        assert any("gem-503" in part["component"] for part in ready["degraded"])


def test_more_chats_than_we_take_are_shed(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    limited = {**settings, "MAX_CONCURRENT_CHATS": "1"}
    with running_service(data_dir, limited) as service, service.client() as client:
        first: list[httpx2.Response] = []

        def ask() -> None:
            with service.client() as other:
                first.append(chat_within(other, "ana", "gem-silent", 4000))

        calls = provider.count("silent")
        asking = threading.Thread(target=ask)
        asking.start()
        deadline = time.monotonic() + 120
        while provider.count("silent") == calls:
            assert time.monotonic() < deadline, "the first chat did not begin"
            time.sleep(0.01)
        response = chat(client, "bob")
        is_problem(response, 503, "overloaded")
        assert response.headers["Retry-After"] == "1"
        asking.join(120)
        is_problem(first[0], 504, "provider-timeout")
        assert chat(client, "bob").status_code == 200


def test_nobody_is_asked_when_nothing_can_be_kept(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    full = {**settings, "MIN_FREE_DISK_BYTES": str(1 << 60)}
    with running_service(data_dir, full) as service, service.client() as client:
        calls = len(provider.calls)
        response = chat(client, "ana")
        is_problem(response, 503, "history-unavailable")
        assert response.headers["Retry-After"] == "5"
        assert len(provider.calls) == calls
        assert client.get("/v1/history/ana").json()["history"] == []
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200


def test_an_answer_that_cannot_be_kept_is_no_200(settings: dict[str, str], data_dir: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs rlimits of POSIX")
    with running_service(data_dir, settings) as service, service.client() as client:
        assert chat(client, "ana").status_code == 200
        limits = (4096, resource.RLIM_INFINITY)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, limits)
        response = chat(client, "ana")
        is_problem(response, 503, "history-not-durable")
        is_problem(chat(client, "ana"), 503, "history-unavailable")
        assert len(kept(client, "ana")) == 1
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, unlimited)
        deadline = time.monotonic() + 120
        while chat(client, "ana").status_code != 200:
            assert time.monotonic() < deadline, "did not recover"
            time.sleep(0.1)


@pytest.mark.realtime  # bounds the time until the answer
def test_a_store_that_is_away_fails_reads_and_nothing_else(
    settings: dict[str, str], data_dir: Path
) -> None:
    away = {**settings, "MONGO_URI": "mongodb://127.0.0.1:1/"}
    with running_service(data_dir, away) as service, service.client() as client:
        started = time.monotonic()
        response = client.get("/v1/history/ana")
        is_problem(response, 503, "history-store-unavailable")
        assert response.headers["Retry-After"] == "5"
        assert time.monotonic() - started < 4
        is_problem(client.delete("/v1/history/ana"), 503, "history-store-unavailable")
        answer = chat(client, "ana")
        assert answer.status_code == 200
        found = client.get(f"/v1/history/ana/{answer.json()['id']}")
        assert found.json()["response"] == answer.json()["response"]
        ready = client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json()["degraded"]


def test_the_log_holds_nothing_of_what_was_sent(service: Service) -> None:
    assert CANARY not in "\n".join(service.log)
    for line in service.log:
        assert isinstance(json.loads(line), dict)
