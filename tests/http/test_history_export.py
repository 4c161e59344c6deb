"""GET /v1/history/{userId}/export."""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from domain.entities.caller import Scope
from domain.entities.interaction import Interaction
from domain.entities.prompt import Prompt
from domain.entities.reply import Usage
from infra.clock import SystemClock
from infra.history.sqlite.store import HISTORY_FILE, open_sqlite
from tests.fakes.interactions import an_interaction
from tests.http.access import bearer, make_key
from tests.http.server_fixtures.client import Client
from tests.support.service import Service, running_service

COLUMNS = [
    "id",
    "userId",
    "conversationId",
    "timestamp",
    "userPrompt",
    "systemPrompt",
    "temperature",
    "response",
    "model",
    "requestedModel",
    "provider",
    "status",
    "finishReason",
    "fallbackUsed",
    "llmResponseSeconds",
    "timeToFirstTokenSeconds",
    "inputTokens",
    "outputTokens",
    "reasoningTokens",
    "totalTokens",
    "costUsd",
    "attempts",
    "error",
]


def ask(client: httpx2.Client, user: str, prompt: str, **body: Any) -> dict[str, Any]:
    asked = {"userId": user, "userPrompt": prompt, "model": "alt-healthy", **body}
    return dict(client.post("/v1/chat", json=asked).json())


def lines(client: httpx2.Client, user: str) -> list[dict[str, Any]]:
    response = client.get(f"/v1/history/{user}/export")
    assert response.status_code == 200, response.text
    assert response.text == "" or response.text.endswith("\n")
    return [json.loads(line) for line in response.text.split("\n")[:-1]]


def rows(client: httpx2.Client, user: str) -> list[dict[str, str]]:
    response = client.get(f"/v1/history/{user}/export", params={"format": "csv"})
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))


def keep(data_dir: Path, interactions: Sequence[Interaction]) -> None:
    """Put interactions into a store that no service has open."""

    async def append() -> None:
        async with open_sqlite(
            data_dir, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
        ) as history:
            for start in range(0, len(interactions), 250):
                await history.append_many(interactions[start : start + 250])

    asyncio.run(append())


def test_lines_are_the_interactions_of_every_status_oldest_first(
    client: httpx2.Client, user: str
) -> None:
    asked = [ask(client, user, f"line\nbreak {n}", conversationId="c") for n in range(3)]
    ask(client, user, "fails", model="gem-rejected")
    every = "&".join(f"status={one}" for one in ("completed", "failed"))
    page = client.get(f"/v1/history/{user}?order=asc&{every}").json()["history"]
    assert lines(client, user) == page
    assert [one["id"] for one in page][:3] == [one["id"] for one in asked]
    assert len(page) == 4
    response = client.get(f"/v1/history/{user}/export", params={"format": "jsonl"})
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["content-disposition"] == f'attachment; filename="history-{user}.jsonl"'
    assert response.headers["cache-control"] == "no-store"
    assert "x-request-id" in response.headers
    assert "content-length" not in response.headers


def test_csv_has_the_same_columns_always_and_no_formulas(client: httpx2.Client, user: str) -> None:
    prompts = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        'quote " comma , line\r\nbreak',
        "it's = fine",
        "é🦩",
    ]
    for prompt in prompts:
        ask(client, user, prompt, systemPrompt=prompt)
    ask(client, user, "fails", model="gem-rejected")
    response = client.get(f"/v1/history/{user}/export", params={"format": "csv"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["content-disposition"] == f'attachment; filename="history-{user}.csv"'
    assert response.content.startswith(",".join(COLUMNS).encode() + b"\r\n")
    found = rows(client, user)
    expected = [f"'{one}" if one[0] in "=+-@" else one for one in prompts]
    assert [row["userPrompt"] for row in found[:-1]] == expected
    assert [row["systemPrompt"] for row in found[:-1]] == expected
    for row, line in zip(found, lines(client, user), strict=True):
        assert row["id"] == line["id"]
        assert row["timestamp"] == line["timestamp"]
        assert row["fallbackUsed"] == "false"
        assert row["temperature"] == row["conversationId"] == ""
        assert float(row["llmResponseSeconds"]) == line["llmResponseSeconds"]
        tokens = line["usage"]["inputTokens"]
        assert row["inputTokens"] == ("" if tokens is None else str(tokens))
        assert json.loads(row["attempts"]) == line["attempts"]
        assert row["error"] == (line["error"] or "")


FORMULAS = [
    *("=1", "+1", "-1", "@SUM(A1)"),
    *("\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(A1)"),
    *("\tplain", "\rplain", "\nplain", "\t=1", "\r\n=1"),
    *(
        "  =1",
        "\u00a0=1",
        "\u3000\uff1d1",
        "\ufeff=1",
        "\ufeff \ufeff+1",
        "\v@a",
        "\x01=1",
        "\u2028=1",
    ),
]
NO_FORMULAS = [
    *(
        "1=1",
        "'=1",
        "it's = fine",
        "  indented",
        "\ufeffbom",
        "a\t=b",
        "\u30fb=",
        '"=1"',
        ",=1",
        "é=1",
    ),
]


@pytest.mark.seen("E1")
def test_no_spelling_of_a_formula_is_one_in_csv_and_numbers_stay_numbers(data_dir: Path) -> None:
    texts = FORMULAS + NO_FORMULAS
    usage = Usage(input_tokens=1, output_tokens=2, cost_usd=1e-9)
    keep(
        data_dir,
        [
            an_interaction(number, prompt=Prompt.from_text(text), text=text, usage=usage)
            for number, text in enumerate(texts)
        ],
    )
    with running_service(data_dir) as service, service.client() as client:
        found = rows(client, "ana")
        expected = [f"'{one}" for one in FORMULAS] + NO_FORMULAS
        assert [row["userPrompt"] for row in found] == expected
        assert [row["response"] for row in found] == expected
        assert {row["costUsd"] for row in found} == {"1e-09"}
        assert [line["userPrompt"] for line in lines(client, "ana")] == texts


@pytest.mark.seen("E1")
def test_a_csv_file_begins_with_one_byte_order_mark_only_when_asked(
    client: httpx2.Client, user: str
) -> None:
    for number in range(30):  # more than one page
        ask(client, user, f"číslo {number}")
    plain = client.get(f"/v1/history/{user}/export?format=csv").content
    marked = client.get(f"/v1/history/{user}/export?format=csv&bom=true").content
    assert marked == b"\xef\xbb\xbf" + plain
    assert plain.startswith(b"id,")
    assert marked.count(b"\xef\xbb\xbf") == 1
    assert client.get(f"/v1/history/{user}/export?format=csv&bom=false").content == plain
    assert client.get(f"/v1/history/{user}/export?bom=false").status_code == 200
    empty = client.get("/v1/history/nobody-yet/export?bom=true&format=csv")
    assert empty.content == b"\xef\xbb\xbf" + ",".join(COLUMNS).encode() + b"\r\n"


@pytest.mark.seen("E1")
@pytest.mark.parametrize("query", ["bom=true", "format=jsonl&bom=true", "bom=1&format=jsonl"])
def test_a_byte_order_mark_in_json_lines_is_refused_by_name(
    client: httpx2.Client, user: str, query: str
) -> None:
    response = client.get(f"/v1/history/{user}/export?{query}")
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    assert [one["pointer"] for one in response.json()["errors"]] == ["query/bom"]


def test_an_unknown_user_has_an_empty_file(client: httpx2.Client) -> None:
    assert lines(client, "nobody-yet") == []
    assert rows(client, "nobody-yet") == []
    response = client.get("/v1/history/nobody-yet/export?format=csv")
    assert response.text == ",".join(COLUMNS) + "\r\n"


def test_a_name_is_good_for_a_file(client: httpx2.Client) -> None:
    response = client.get("/v1/history/a.b_c:d|e@f+g-h/export")
    assert response.headers["content-disposition"] == (
        'attachment; filename="history-a.b_c_d_e_f_g-h.jsonl"'
    )


@pytest.mark.parametrize(
    "query",
    [
        *("format=xml", "format=", "format=csv&format=csv", "limit=1", "cursor=a", "from=x"),
        *("format=csv&bom=", "format=csv&bom=maybe", "format=csv&bom=true&bom=true"),
    ],
)
def test_wrong_parameters_are_refused(client: httpx2.Client, user: str, query: str) -> None:
    response = client.get(f"/v1/history/{user}/export?{query}")
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    assert client.get("/v1/history/=/export").status_code == 422
    assert client.delete(f"/v1/history/{user}/export").status_code == 405


def test_it_takes_a_permission_of_its_own(settings: dict[str, str], data_dir: Path) -> None:
    _, reader = make_key(data_dir, scopes=[Scope.HISTORY_READ])
    _, exporter = make_key(data_dir, scopes=[Scope.HISTORY_EXPORT])
    _, ana = make_key(data_dir, user="ana")
    with (
        running_service(data_dir, {**settings, "AUTHENTICATION": "api_keys"}) as service,
        service.client() as client,
    ):
        statuses = {
            name: client.get(f"/v1/history/{user}/export", headers=bearer(key)).status_code
            for name, user, key in (
                ("reader", "ana", reader),
                ("exporter", "ana", exporter),
                ("ana", "ana", ana),
                ("ana for bob", "bob", ana),
            )
        }
        assert statuses == {"reader": 403, "exporter": 200, "ana": 200, "ana for bob": 403}
        assert client.get("/v1/history/ana/export").status_code == 401
        assert client.get("/v1/history/ana", headers=bearer(exporter)).status_code == 403


def test_a_file_that_cannot_be_finished_is_broken_off(data_dir: Path) -> None:
    keep(data_dir, [an_interaction(n) for n in range(300)])
    with sqlite3.connect(data_dir / HISTORY_FILE) as connection:
        connection.execute("DROP TRIGGER changed_is_said")
        connection.execute(
            "UPDATE interaction SET body = json_set(body, '$.v', 2) WHERE body ->> 'prompt' = 'question 200'"
        )
    with running_service(data_dir) as service, service.client() as client:
        received = b""
        with (
            pytest.raises(httpx2.RemoteProtocolError),
            client.stream("GET", "/v1/history/ana/export") as response,
        ):
            assert response.status_code == 200
            for chunk in response.iter_raw():
                received += chunk
        assert 100 <= received.count(b"\n") <= 200
        (line,) = service.lines_with("/export")
        assert json.loads(line)["error"]["code"] == "history-store-unavailable"
        assert service.lines_with("file download aborted")
        assert not [line for line in service.log if "unhandled" in line]


def test_what_cannot_be_read_at_all_has_a_status_of_its_own(data_dir: Path) -> None:
    keep(data_dir, [an_interaction(1)])
    with sqlite3.connect(data_dir / HISTORY_FILE) as connection:
        connection.execute("DROP TRIGGER changed_is_said")
        connection.execute("UPDATE interaction SET body = json_set(body, '$.v', 2)")
    with running_service(data_dir) as service, service.client() as client:
        response = client.get("/v1/history/ana/export")
        assert response.status_code == 503
        assert response.json()["type"] == "/problems/history-store-unavailable"


def resident_bytes(service: Service) -> int:
    """Return what the process holds of the machine's memory."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.mark.slow
def test_a_client_that_reads_slowly_and_leaves_costs_little(data_dir: Path) -> None:
    """80 MB are not made for a client that does not take them, and the walk ends with it."""
    text = "x" * 100_000
    keep(
        data_dir,
        [an_interaction(n, text=text, prompt=Prompt.from_text(f"{n}")) for n in range(800)],
    )
    with running_service(data_dir) as service, service.client() as other:
        assert other.get("/v1/history/ana?limit=1").status_code == 200
        before = resident_bytes(service)
        with Client(service.port, receive_buffer_bytes=4096) as client:
            client.get("/v1/history/ana/export")
            assert client.socket.recv(1000).startswith(b"HTTP/1.1 200")
            for _ in range(20):
                assert other.get("/v1/history/ana?limit=1").status_code == 200
            assert not [line for line in service.log if "/export" in line]
            assert resident_bytes(service) - before < 40_000_000
        service.lines_with("/export")
