"""Secrets that got into a line after all are taken out again, and the line stays JSON."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.logging.json_line import json_line
from infra.logging.redaction import redact

SECRET = "hunter2hunter2hunter2"

LEAKS = [
    f"x-goog-api-key={SECRET}",
    f"x-goog-api-key: {SECRET}",
    f"GEMINI_API_KEY={SECRET} was read",
    f"{{'api_key': '{SECRET}'}}",
    f'{{"apiKey": "{SECRET}"}}',
    f"Authorization: Bearer {SECRET}",
    f"authorization: {SECRET}",
    f"bearer {SECRET}",
    f"sk-{SECRET}",
    f"sk-or-v1-{SECRET}",
    f"first line\nsk-{SECRET}",
    f"\x1bAIza{SECRET}",
    f"AIza{SECRET}",
    f"rtg_a1b2_{SECRET}",
    f"mongodb://user:{SECRET}@db.example:27017/x",
    f"mongodb+srv://user:{SECRET}@db.example",
    f"mongodb://user:p@ss/{SECRET}@db.example",
    f"https://:{SECRET}@example.org",
    f"eyJhbGciOiJ9.{SECRET}.{SECRET}",
    f"password={SECRET}",
    f"CURSOR_SECRET = {SECRET}",
]


@pytest.mark.parametrize("leak", LEAKS)
def test_a_secret_in_a_text_is_taken_out(leak: str) -> None:
    line = redact(json_line({"message": f"before {leak} after"}))
    assert SECRET not in line
    message = json.loads(line)["message"]
    assert message.startswith("before ")
    assert message.endswith("after")


@pytest.mark.parametrize("name", ["api_key", "x-goog-api-key", "Authorization", "password"])
def test_a_secret_in_a_field_is_taken_out(name: str) -> None:
    fields = json.loads(redact(json_line({"rt": {name: f'a"\\{SECRET}'}, "n": {name: 12345678}})))
    assert fields == {"rt": {name: "[redacted]"}, "n": {name: 12345678}}


@pytest.mark.parametrize(
    "text",
    [
        "the task-queue-is-not-a-secret, said the api",
        "http://localhost:8000/v1/chat",
        "GET /docs 200",
        "the key of the map",
        "risk-assessment-of-the-year",
    ],
)
def test_an_ordinary_text_stays(text: str) -> None:
    assert json.loads(redact(json_line({"message": text})))["message"] == text


@given(
    parts=st.lists(
        st.text() | st.sampled_from([*LEAKS, '"', "\\", "\n", "://", "@", ":", "secret="])
    )
)
def test_a_redacted_line_is_still_json(parts: list[str]) -> None:
    line = redact(json_line({"message": "".join(parts), "api_key": "".join(parts), "n": 1}))
    assert set(json.loads(line)) == {"message", "api_key", "n"}


@pytest.mark.parametrize(
    "part", ["secret", "://a:", "a@", "://", "rtg_", "sk-", "eyJaaaaaa.", "api_key ", '\\"', " "]
)
def test_a_long_hostile_text_takes_no_long_time(part: str) -> None:
    started_seconds = time.process_time()
    redact(json_line({"message": "secret api ://" + part * (200_000 // len(part))}))
    assert time.process_time() - started_seconds < 10  # minutes, were the cost quadratic
