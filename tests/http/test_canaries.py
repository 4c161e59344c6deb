"""Secrets and prompts sent through every failure, then looked for wherever they must not be."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.fakes.collector import Collector, collecting
from tests.fakes.issuer import issuer_in_thread, token
from tests.http.access import bearer, jwt_settings, make_key, send_raw
from tests.support.service import Service, running_service

PROVIDER_KEY = "canary-provider-key-7f3a"
COLLECTOR_KEY = "canary-collector-key-7f3a"
CURSOR_SECRET = "canary-cursor-secret-7f3a-0123456789abcdef"
PROMPT = "canary-prompt-7f3a"
IDEMPOTENCY_KEY = "canary-idempotency-7f3a"
HEADER = "canary-header-7f3a"
ENDLESS = ("drip-", "late-59s")
HUGE = ("huge-", "gzip-")
PROVOKED = [name for name in FAULTS if not name.startswith((*ENDLESS, *HUGE))]
"""What takes minutes or megabytes without failing in a way of its own is left out."""
DOORS = {
    "/v1/chat": {"userPrompt": PROMPT, "systemPrompt": PROMPT},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": PROMPT}]},
}


@dataclass
class LeftBehind:
    """All that a service left behind."""

    service: Service
    secrets: list[str]
    collector: Collector
    responses: list[httpx2.Response] = field(default_factory=list)

    def files(self) -> dict[str, bytes]:
        return {
            str(path.name): path.read_bytes()
            for path in self.service.data_dir.rglob("*")
            if path.is_file()
        }


@pytest.fixture(scope="module")
def left(
    settings: dict[str, str], provider: FaultProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LeftBehind]:
    data_dir = tmp_path_factory.mktemp("canaries") / "data"
    _, key = make_key(data_dir, user="ana")
    shown = token(sub="ana").decode()
    with issuer_in_thread() as issuer, collecting() as collector:
        secretive = {
            **settings,
            **jwt_settings(issuer),
            "GEM_KEY": PROVIDER_KEY,
            "CURSOR_SECRET": CURSOR_SECRET,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={COLLECTOR_KEY}",
            "LOG_LEVEL": "debug",
            "IDLE_SECONDS": "2",
            "BREAKER_CONSECUTIVE_FAILURES": "1000000",
            "BREAKER_MINIMUM_CALLS": "1000000",
        }
        with running_service(data_dir, secretive) as service:
            secrets = [
                *(PROVIDER_KEY, COLLECTOR_KEY, CURSOR_SECRET, IDEMPOTENCY_KEY),
                *(key.rpartition("_")[2], shown),
            ]
            found = LeftBehind(service, secrets, collector)
            provoke(found, [key, shown])
            yield found


def provoke(left: LeftBehind, credentials: list[str]) -> None:
    """Send the canaries through every fault, door and form, and in everything that can be malformed."""

    def chat(case: tuple[int, str, str, bool]) -> httpx2.Response:
        number, door, model, streamed = case
        headers = {
            **bearer(credentials[number % 2]),
            "X-Request-Timeout-Ms": "3000",
            "Idempotency-Key": f"{IDEMPOTENCY_KEY}-{number}",
            "X-Canary": HEADER,
        }
        body = {**DOORS[door], "model": model, "stream": streamed}
        with left.service.client() as client:
            return client.post(door, json=body, headers=headers)

    models = [f"{prefix}-{fault}" for fault in PROVOKED for prefix in ("gem", "alt")]
    cases = [
        (number, door, model, streamed)
        for number, (door, model, streamed) in enumerate(
            (door, model, streamed)
            for door in DOORS
            for model in models
            for streamed in (False, True)
        )
    ]
    with ThreadPoolExecutor(24) as pool:
        left.responses += pool.map(chat, cases)
    with left.service.client(headers=bearer(credentials[0])) as client:
        json_type = {"Content-Type": "application/json"}
        left.responses += [
            client.post("/v1/chat", content=content, headers=json_type)
            for content in (
                f'{{"userPrompt":"{PROMPT}"',
                f'{{"userPrompt":5,"userId":"{PROMPT}"}}',
                f'["{PROMPT}"]',
                f'{{"userPrompt":"{PROMPT}","model":"{PROMPT}"}}',
                f'{{"userPrompt":"{PROMPT}\\u0000"}}',
            )
        ]
        left.responses += [
            client.get(f"/v1/history/{PROMPT}"),
            client.get(f"/v1/history/ana/{PROMPT}"),
            client.get("/v1/history/ana", params={"cursor": PROMPT}),
            client.get("/v1/history/ana", params={"unknown": PROMPT}),
            client.get(f"/{PROMPT}"),
            client.post(
                "/v1/chat", json={"userPrompt": PROMPT}, headers={"X-Request-Timeout-Ms": PROMPT}
            ),
            client.get("/v1/models", headers=bearer(f"rtg_aaaaaaaaaaaa_{PROMPT.replace('-', '')}")),
            client.get("/v1/models", headers=bearer(credentials[1] + "x")),
        ]
    port = left.service.port
    for request_id in (f"{HEADER}\x1b[31m", f"{HEADER} ", f"{HEADER};"):
        send_raw(port, "GET", f"/health/live?{PROMPT}", {"X-Request-Id": request_id})


def test_most_of_it_really_failed(left: LeftBehind) -> None:
    failed = sum(response.status_code >= 400 for response in left.responses)
    assert failed > len(left.responses) / 2
    assert all(response.status_code != 500 for response in left.responses)


def test_no_answer_tells_a_secret(left: LeftBehind) -> None:
    for response in left.responses:
        told = response.text + str(response.headers)
        for secret in left.secrets:
            assert secret not in told, response
        assert HEADER not in told


def test_no_error_repeats_what_was_sent(left: LeftBehind) -> None:
    for response in left.responses:
        if response.status_code >= 400:
            assert PROMPT not in response.text, response
            assert PROMPT not in str(response.headers), response


def test_the_log_holds_neither_secrets_nor_prompts(left: LeftBehind) -> None:
    log = "\n".join(left.service.log)
    assert log.count("llm.chat") >= len(PROVOKED)
    for secret in [*left.secrets, PROMPT, HEADER, "eyJ"]:
        assert secret not in log, next(line for line in left.service.log if secret in line)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/metrics", "/health/ready", "/openapi.json", "/docs"])
def test_what_is_public_holds_neither_secrets_nor_prompts_nor_users(
    left: LeftBehind, path: str
) -> None:
    with left.service.client() as client:
        told = client.get(path).text
    for secret in [*left.secrets, PROMPT, HEADER]:
        assert secret not in told
    if path == "/metrics":
        assert "ana" not in told.replace("analy", "")


def test_no_span_holds_a_secret_or_a_prompt(left: LeftBehind) -> None:
    left.collector.wait_for(lambda collector: len(collector.spans) > len(PROVOKED))
    assert {headers["x-api-key"] for headers in left.collector.headers} == {COLLECTOR_KEY}
    for body in left.collector.raw:
        for secret in [*left.secrets, PROMPT, HEADER, "eyJhbGci"]:
            place = body.find(secret.encode())
            assert place < 0, body[max(0, place - 80) : place + 80]


def test_no_file_holds_a_secret_and_only_history_holds_prompts(left: LeftBehind) -> None:
    files = left.files()
    assert {"history.db", "keys.db", "idempotency.db"} <= set(files)
    assert any(PROMPT.encode() in content for name, content in files.items() if "history" in name)
    for name, content in files.items():
        for secret in left.secrets:
            assert secret.encode() not in content, name
        if not name.startswith("history.db"):
            assert PROMPT.encode() not in content, name


def test_only_the_owner_may_read_the_files(left: LeftBehind) -> None:
    data_dir: Path = left.service.data_dir
    assert data_dir.stat().st_mode & 0o077 == 0
    for path in data_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_provider_got_its_own_key_and_nothing_of_the_callers(
    left: LeftBehind, provider: FaultProvider
) -> None:
    with_key = [call for call in provider.calls if PROVIDER_KEY in str(call.headers)]
    assert with_key
    for call in with_key:
        assert HEADER not in str(call.headers)
        for secret in left.secrets:
            if secret == PROVIDER_KEY:
                continue
            assert secret not in str(call.headers)
            assert secret not in str(call.body)
        assert PROVIDER_KEY not in str(call.body)
