"""Who is let in: with keys, with tokens, with neither."""

import json
import socket
import time
from pathlib import Path

import httpx2
import pytest

from domain.entities.caller import Scope
from infra.selftest.provider import FaultProvider
from tests.fakes.issuer import issuer_in_thread, token
from tests.http.access import bearer, jwt_settings, make_key, send_raw
from tests.support.bad_tokens import BAD
from tests.support.guarded_service import Guarded, chat
from tests.support.problems import is_problem
from tests.support.service import command, running_service

PROTECTED = [
    ("POST", "/v1/chat"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/gem-healthy"),
    ("GET", "/v1/history/ana"),
    ("DELETE", "/v1/history/ana"),
    ("GET", "/v1/history/ana/conversations"),
    ("GET", "/v1/history/ana/019aabb1-7c80-7000-8a51-0f1d2c3b4a59"),
    ("DELETE", "/v1/history/ana/019aabb1-7c80-7000-8a51-0f1d2c3b4a59"),
    ("PUT", "/v1/chat"),
    ("GET", "/no/such/route"),
]
PUBLIC = [
    "/health/live",
    "/health/ready",
    "/docs",
    "/openapi.json",
    "/metrics",
    "/",
    "/console/main.js",
]


def refuses(response: httpx2.Response, challenge: str) -> None:
    """Check that this is a 401, in whichever format its route speaks."""
    assert response.status_code == 401, response.text
    assert response.headers["WWW-Authenticate"] == challenge
    assert "valid key or token" in response.text


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_nothing_is_shown_without_credentials(guarded: Guarded, method: str, path: str) -> None:
    with guarded.client() as client:
        refuses(client.request(method, path), "Bearer")
    with guarded.client("rtg_aaaaaaaaaaaa_" + "a" * 32) as client:
        refuses(client.request(method, path), 'Bearer error="invalid_token"')


@pytest.mark.parametrize("path", PUBLIC)
def test_what_is_public_needs_none_and_takes_any(guarded: Guarded, path: str) -> None:
    for credentials in (None, "nonsense"):
        with guarded.client(credentials) as client:
            assert client.get(path).status_code == 200


def test_a_key_may_be_in_anthropics_header(guarded: Guarded) -> None:
    body = {
        "model": "gem-healthy",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "metadata": {"user_id": "ana"},
    }
    named = {"x-api-key": guarded.backend_key}
    with guarded.client() as client:
        assert client.post("/v1/messages", json=body, headers=named).status_code == 200
        version = {"anthropic-version": "2023-06-01"}
        assert client.get("/v1/models", headers={**named, **version}).status_code == 200
        wrong = {"x-api-key": "rtg_aaaaaaaaaaaa_" + "a" * 32}
        response = client.post("/v1/messages", json=body, headers=wrong)
        refuses(response, 'Bearer error="invalid_token"')
        assert response.json()["error"]["type"] == "authentication_error"
        assert client.get("/v1/history/ana", headers=named).status_code == 401
        twice = [*named.items(), *named.items()]
        assert client.post("/v1/messages", json=body, headers=twice).status_code == 401


def test_every_route_is_either_listed_as_public_or_protected(guarded: Guarded) -> None:
    with guarded.client() as client:
        described = client.get("/openapi.json").json()["paths"]
        for path, operations in described.items():
            for method, operation in operations.items():
                target = path.replace("{userId}", "ana").replace("{modelId}", "x")
                target = target.replace("{interactionId}", "019aabb1-7c80-7000-8a51-0f1d2c3b4a59")
                status = client.request(method.upper(), target).status_code
                assert (status == 401) == (path not in PUBLIC), (method, path, status)
                assert ("security" in operation) == (path not in PUBLIC), (method, path)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "bearer",
        "Bearer a b",
        "rtg_x",
        "Bearer \t",
        "Bearer é",
    ],
)
def test_a_header_that_holds_no_credentials_is_refused(guarded: Guarded, header: str) -> None:
    answer = send_raw(guarded.service.port, "GET", "/v1/models", {"Authorization": header})
    assert answer.status == 401


def test_two_authorization_headers_are_none(guarded: Guarded) -> None:
    request = (
        "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {guarded.ana_key}\r\nAuthorization: Bearer {guarded.backend_key}\r\n"
        "Connection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", guarded.service.port), timeout=20) as raw:
        raw.sendall(request.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_spelled_anyhow(guarded: Guarded, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {guarded.ana_key}"}
    with guarded.client() as client:
        assert client.get("/v1/models", headers=headers).status_code == 200


def test_credentials_count_nowhere_but_in_their_header(guarded: Guarded) -> None:
    key = guarded.ana_key
    with guarded.client() as client:
        for response in (
            client.get("/v1/models", params={"api_key": key, "access_token": key}),
            client.get("/v1/models", headers={"X-Api-Key": key, "Cookie": f"token={key}"}),
        ):
            refuses(response, "Bearer")


@pytest.mark.parametrize("host", ["a/?x=", "a/v1/../health/live?x=", "evil.example", "localhost"])
def test_a_host_header_talks_nobody_past_the_gate(guarded: Guarded, host: str) -> None:
    answer = send_raw(guarded.service.port, "GET", "/v1/models", {})
    request = f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", guarded.service.port), timeout=20) as raw:
        raw.sendall(request.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 401 ")
    assert answer.status == 401


@pytest.mark.parametrize(
    "target",
    [
        "/health/../v1/models",
        "/health/%2e%2e/v1/models",
        "/docs/../v1/models",
        "/docs/assets/../../v1/models",
        "/docs/assets/%2e%2e/%2e%2e/v1/models",
        "/console/../v1/models",
        "//v1/models",
        "/./v1/models",
        "/v1/models;/health/",
        "/v1/models%2f..%2f..%2fhealth/live",
        "/openapi.json/../v1/models",
        "/v1/models?/health/live",
        "/v1/models#/health/live",
        "http://localhost/v1/models",
        "http://localhost/health/../v1/models",
    ],
)
def test_no_spelling_of_a_path_leads_around_the_gate(guarded: Guarded, target: str) -> None:
    answer = send_raw(guarded.service.port, "GET", target, {})
    assert answer.status in (400, 401, 404), answer
    assert "gem-healthy" not in answer.text


def test_nothing_of_a_body_is_read_before_the_caller_is_known(guarded: Guarded) -> None:
    head = "POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", guarded.service.port), timeout=20) as raw:
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 401 ")


def test_no_bad_token_is_let_in_and_none_makes_us_ask_the_issuer_more_than_once(
    guarded: Guarded,
) -> None:
    asked = guarded.issuer.fetches
    for case, made in BAD.items():
        headers = {"Authorization": f"Bearer {made().decode('latin-1')}"}
        answer = send_raw(guarded.service.port, "GET", "/v1/history/ana", headers)
        assert answer.status == 401, case
    with guarded.client() as client:
        for number in range(1000):
            # From ever other addresses: those of one would be refused without a look after a while.
            unknown = {
                **bearer(token(headers={"kid": f"made-up-{number}"})),
                "X-Forwarded-For": f"203.0.113.{number // 10}",
            }
            assert client.get("/v1/history/ana", headers=unknown).status_code == 401
    assert guarded.issuer.fetches <= asked + 1
    assert set(guarded.issuer.paths) == {"/jwks"}


def test_openai_clients_are_told_in_their_words(guarded: Guarded) -> None:
    with guarded.client("sk-wrong") as client:
        response = client.post("/v1/chat/completions", json={})
    refuses(response, 'Bearer error="invalid_token"')
    assert response.headers["x-should-retry"] == "false"
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "unauthenticated")


def test_a_users_key_and_token_may_leave_the_user_out_and_name_nobody_else(
    guarded: Guarded,
) -> None:
    for credentials in (guarded.ana_key, token(sub="ana")):
        with guarded.client(credentials) as client:
            assert chat(client, None).json()["userId"] == "ana"
            assert chat(client, "ana").status_code == 200
            is_problem(chat(client, "bob"), 403, "forbidden")
            body = {"messages": [{"role": "user", "content": "hi"}], "user": "bob"}
            answer = client.post("/v1/chat/completions", json=body).json()
            interaction_id = answer["id"].removeprefix("chatcmpl-")
            kept = client.get(f"/v1/history/ana/{interaction_id}")
            assert kept.json()["userId"] == "ana"


def test_a_backends_key_acts_for_any_user_and_has_to_say_for_whom(guarded: Guarded) -> None:
    with guarded.client(guarded.backend_key) as client:
        assert chat(client, "bob").json()["userId"] == "bob"
        assert client.get("/v1/history/bob").status_code == 200
        problem = is_problem(chat(client, None), 422, "invalid-request")
        assert problem["errors"][0]["pointer"] == "/userId"  # type: ignore[index]
        body = {"messages": [{"role": "user", "content": "hi"}]}
        answer = client.post("/v1/chat/completions", json=body).json()
        owner = f"key:{guarded.backend_key.split('_')[1]}"
        interaction_id = answer["id"].removeprefix("chatcmpl-")
        assert client.get(f"/v1/history/{owner}/{interaction_id}").status_code == 200


NEEDS = {
    Scope.CHAT_WRITE: [("POST", "/v1/chat"), ("POST", "/v1/chat/completions")],
    Scope.HISTORY_READ: [
        ("GET", "/v1/history/ana"),
        ("GET", "/v1/history/ana/conversations"),
        ("GET", "/v1/history/ana/019aabb1-7c80-7000-8a51-0f1d2c3b4a59"),
    ],
    Scope.HISTORY_ERASE: [
        ("DELETE", "/v1/history/ana"),
        ("DELETE", "/v1/history/ana/019aabb1-7c80-7000-8a51-0f1d2c3b4a59"),
    ],
    Scope.ADMIN_READ: [("GET", "/v1/usage")],
}


@pytest.mark.parametrize("scope", Scope)
def test_a_key_may_do_what_its_scopes_say_and_nothing_else(guarded: Guarded, scope: Scope) -> None:
    _, key = make_key(guarded.service.data_dir, user="ana", scopes=[scope])
    body = {
        "userPrompt": "hi",
        "messages": [{"role": "user", "content": "hi"}],
    }
    with guarded.client(key) as client:
        until_known(client)
        for needed, routes in NEEDS.items():
            for method, path in routes:
                fields = {"/v1/chat": ["userPrompt"], "/v1/chat/completions": ["messages"]}
                sent = {name: body[name] for name in fields.get(path, [])} or None
                response = client.request(method, path, json=sent)
                allowed = needed is scope
                assert (response.status_code != 403) == allowed, (scope, method, path)
                assert response.status_code < 500


def until_known(client: httpx2.Client) -> None:
    """Wait until a key that was just made is seen."""
    deadline = time.monotonic() + 120
    while client.get("/v1/models").status_code == 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def keys(data_dir: Path, *arguments: str) -> list[str]:
    """Run `python main.py keys …` and return the lines it printed."""
    ran = command(data_dir, "keys", *arguments)
    ran.check_returncode()
    return ran.stdout.splitlines()


def test_keys_are_made_listed_and_revoked_while_the_service_runs(guarded: Guarded) -> None:
    data_dir = guarded.service.data_dir
    *told, key = keys(data_dir, "create", "--name", "phone", "--user", "eve", "--expires", "90d")
    key_id = key.split("_")[1]
    assert any(key_id in line for line in told)
    with guarded.client(key) as client:
        until_known(client)
        assert chat(client, None).json()["userId"] == "eve"
        (listed,) = [line for line in keys(data_dir, "list") if line.startswith(key_id)]
        assert listed.split()[1:4] == ["phone", "eve", "all"]
        assert listed.endswith("holds")
        assert key.rpartition("_")[2] not in "".join(keys(data_dir, "list"))
        keys(data_dir, "revoke", key_id)
        revoked_seconds = time.monotonic()
        while client.get("/v1/models").status_code != 401:
            assert time.monotonic() < revoked_seconds + 20
            time.sleep(0.05)
        assert next(line for line in keys(data_dir, "list") if line.startswith(key_id)).endswith(
            "revoked"
        )


def test_keys_can_be_made_before_the_first_start_or_given_as_lines(
    settings: dict[str, str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    first = keys(data_dir, "create")[-1]
    *_, line, _, given = keys(data_dir, "create", "--user", "ana", "--line")
    file = tmp_path / "keys.txt"
    *_, in_file, _, from_file = keys(data_dir, "create", "--user", "bob", "--line")
    file.write_text(in_file)
    guarded = {
        **settings,
        "AUTHENTICATION": "api_keys",
        "API_KEYS": line,
        "API_KEYS_FILE": str(file),
    }
    with running_service(data_dir, guarded) as service:
        for key, user in ((first, "eve"), (given, "ana"), (from_file, "bob")):
            with service.client(headers=bearer(key)) as client:
                assert chat(client, user).status_code == 200
        for key in (given, from_file):
            with service.client(headers=bearer(key)) as client:
                is_problem(chat(client, "eve"), 403, "forbidden")
        with service.client(headers=bearer(token(sub="ana"))) as client:
            assert chat(client, "ana").status_code == 401


def test_keys_that_cannot_be_read_are_a_503_and_never_a_401(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider
) -> None:
    _, key = make_key(data_dir)
    whole = (data_dir / "keys.db").read_bytes()
    (data_dir / "keys.db").write_bytes(b"x" * 4096)
    asked = len(provider.calls)
    with (
        running_service(data_dir, {**settings, "AUTHENTICATION": "api_keys"}) as service,
        service.client(headers=bearer(key)) as client,
    ):
        response = chat(client, "ana")
        is_problem(response, 503, "auth-unavailable")
        assert response.headers["Retry-After"] == "5"
        assert len(provider.calls) == asked
        ready = client.get("/health/ready").json()
        assert [part["component"] for part in ready["degraded"]] == ["api keys"]
        (data_dir / "keys.db").write_bytes(whole)
        deadline = time.monotonic() + 120
        while chat(client, "ana").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_an_issuer_that_is_away_is_a_503_and_healed_without_a_restart(
    settings: dict[str, str], data_dir: Path
) -> None:
    with issuer_in_thread() as issuer:
        port = int(issuer.url.split(":")[2].split("/")[0])
    _, key = make_key(data_dir)
    with (
        running_service(data_dir, {**settings, **jwt_settings(issuer)}) as service,
        service.client(headers=bearer(token())) as client,
    ):
        response = chat(client, "ana")
        is_problem(response, 503, "auth-unavailable")
        assert response.headers["Retry-After"] == "5"
        assert client.get("/health/ready").status_code == 200
        with service.client(headers=bearer(key)) as backend:
            assert chat(backend, "ana").status_code == 200
        with issuer_in_thread(port):
            deadline = time.monotonic() + 120
            while chat(client, "ana").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert chat(client, "ana").status_code == 200  # from what is known


def test_the_log_holds_no_credentials(guarded: Guarded) -> None:
    with guarded.client(token(sub="ana")) as client:
        assert chat(client, None).status_code == 200
    everything = "\n".join(guarded.service.log)
    assert guarded.ana_key not in everything
    assert guarded.backend_key.rpartition("_")[2] not in everything
    assert "eyJ" not in everything
    for line in guarded.service.log:
        json.loads(line)
