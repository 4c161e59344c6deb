"""Line breaks and escape codes in everything a caller can write: one line in the log each, and no header of theirs."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.http.access import Raw, send_raw
from tests.support.service import Service, running_service

EVIL = {
    "CRLF": "a\r\nX-Injected: yes",
    "CRLF and a body": "a\r\n\r\n<script>alert(1)</script>",
    "LF": 'a\n{"message":"forged"}',
    "CR": "a\rX-Injected: yes",
    "NUL": "a\0b",
    "ANSI": "a\x1b[31mred\x1b]0;title\x07",
    "CSI in one byte": "a\x9b31m",
    "line separator": "a\u2028b\u2029c\u0085d",
    "right to left": "a\u202eb",
    "a forged line": 'x"},"message":"forged","x":{"',
}
OURS = {
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "idempotency-replayed",
    "retry-after",
    "server-timing",
    "transfer-encoding",
    "x-content-type-options",
    "x-history-lag-seconds",
    "x-interaction-id",
    "x-request-id",
    "x-should-retry",
}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]")
FIELDS = ["userId", "userPrompt", "model", "conversationId", "systemPrompt"]
HEADERS_WE_READ = [
    "X-Request-Id",
    "Idempotency-Key",
    "X-Request-Timeout-Ms",
    "Content-Type",
    "Authorization",
    "X-Forwarded-For",
    "Origin",
    "User-Agent",
]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose log nobody else writes to."""
    with running_service(tmp_path_factory.mktemp("quiet") / "data") as service:
        yield service


def lines_of(service: Service, exchanges: list[Raw]) -> list[str]:
    """The lines these exchanges left, once each has left one."""
    ids = {exchange.headers["x-request-id"] for exchange in exchanges}
    deadline = time.monotonic() + 120
    while True:
        lines = [line for line in service.log if any(one in line for one in ids)]
        if len(lines) >= len(ids) or time.monotonic() > deadline:
            return lines


def check(service: Service, exchanges: list[Raw], evil: str) -> None:
    for exchange in exchanges:
        assert set(exchange.headers) <= OURS, exchange
        assert 200 <= exchange.status < 500, exchange
        assert evil not in str(exchange.headers)
        assert exchange.status < 300 or "<script>" not in exchange.text
    lines = lines_of(service, exchanges)
    assert len(lines) == len(exchanges)
    for line in lines:
        assert not CONTROL.search(line), line
        fields = json.loads(line)
        assert fields["message"] in ("request completed", "chat completed")


@pytest.mark.parametrize("case", EVIL)
def test_in_a_path_or_a_query(quiet: Service, case: str) -> None:
    evil = quote(EVIL[case], safe="")
    check(
        quiet,
        [
            send_raw(quiet.port, method, target, {})
            for method, target in (
                ("GET", f"/{evil}"),
                ("GET", f"/v1/history/{evil}"),
                ("DELETE", f"/v1/history/ana/{evil}"),
                ("GET", f"/v1/models/{evil}"),
                ("GET", f"/v1/history/ana?cursor={evil}"),
                ("GET", f"/v1/history/ana?conversationId={evil}"),
                ("GET", f"/v1/history/ana?{evil}={evil}"),
                ("GET", f"/health/live?{evil}"),
            )
        ],
        EVIL[case],
    )


@pytest.mark.parametrize("case", EVIL)
def test_in_a_body(quiet: Service, case: str) -> None:
    evil = EVIL[case]
    asked = {"messages": [{"role": "user", "content": "hi"}]}
    bodies = [
        *(("/v1/chat", {"userId": "ana", "userPrompt": "hi", field: evil}) for field in FIELDS),
        ("/v1/chat", {"userId": "ana", "userPrompt": "hi", evil: evil}),
        *(("/v1/chat/completions", {**asked, field: evil}) for field in ("model", "user", evil)),
        ("/v1/chat/completions", {"messages": [{"role": evil, "content": evil}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": evil}]}),
    ]
    headers = {"Content-Type": "application/json"}
    exchanges = [
        send_raw(quiet.port, "POST", door, headers, json.dumps(body).encode())
        for door, body in bodies
    ]
    check(quiet, exchanges, evil)


@pytest.mark.parametrize("name", HEADERS_WE_READ)
@pytest.mark.parametrize("case", ["ANSI", "CSI in one byte", "a forged line"])
def test_in_a_header(quiet: Service, name: str, case: str) -> None:
    """What no header may hold at all, such as a line break, the server refuses: test_server_malformed.py."""
    body = json.dumps({"userId": "ana", "userPrompt": "hi"}).encode()
    headers = {
        "Content-Type": "application/json",
        name: EVIL[case].encode("latin-1").decode("latin-1"),
    }
    answer = send_raw(quiet.port, "POST", "/v1/chat", headers, body)
    if answer.status == 400:
        assert "malformed-request" in answer.text
        (line,) = quiet.lines_with(answer.headers["x-request-id"])
        assert not CONTROL.search(line)
    else:
        check(quiet, [answer], EVIL[case])
        assert uuid.UUID(answer.headers["x-request-id"])


def test_a_prompt_full_of_them_is_kept_as_it_is_and_logged_nowhere(quiet: Service) -> None:
    prompt = "".join(EVIL[case] for case in EVIL if case != "NUL")
    with quiet.client() as client:
        answer = client.post("/v1/chat", json={"userId": "eve", "userPrompt": prompt})
        assert answer.status_code == 200
        (kept,) = client.get("/v1/history/eve").json()["history"]
    assert kept["userPrompt"] == prompt
    assert not any("forged" in line for line in quiet.log)
