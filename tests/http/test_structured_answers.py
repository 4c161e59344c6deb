"""Answers that have to be JSON: checked before they count as complete, at both routes and on both wires."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.selftest.exchange import Exchange
from infra.selftest.fault import Fault
from infra.selftest.provider import FaultProvider
from tests.http.openai_door import complete, events, is_error, newest
from tests.http.test_error_table import is_problem
from tests.support.service import Service, running_service

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
    "required": ["city", "celsius"],
}
GOOD = '{"city": "Paris", "celsius": 22}'
OTHER = '{"city": "Oslo", "celsius": 4}'
NOT_FITTING = {
    "prose": f"Here it is: {GOOD}",
    "fence": f"```json\n{GOOD}\n```",
    "trailing": f"{GOOD} Anything else?",
    "two": f"{GOOD}{GOOD}",
    "wrong-type": '{"city": "Paris", "celsius": "22"}',
    "missing": '{"city": "Paris"}',
    "no-object": "22",
    "half": '{"city": "Par',
}


def answering(text: str, reason: str = "stop") -> Fault:
    """Return the behaviour of a provider that sends `text` in two pieces."""

    async def fault(exchange: Exchange) -> None:
        await exchange.answer(text[:9], text[9:], reason=reason)

    return fault


async def prose_then_json(exchange: Exchange) -> None:
    """Answers each question first in prose."""
    await exchange.answer(NOT_FITTING["prose"] if exchange.nth == 1 else GOOD)


FAULTS = {
    "json": answering(GOOD),
    "other": answering(OTHER),
    "cut": answering(NOT_FITTING["half"], "length"),
    "prose-once": prose_then_json,
    **{name: answering(text) for name, text in NOT_FITTING.items()},
}


@pytest.fixture(scope="module")
def service(provider: FaultProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose models answer as `FAULTS` says; those named `safe-` fall back to `alt-other`."""
    provider.override |= FAULTS
    data_dir = tmp_path_factory.mktemp("service") / "data"
    path = _models_file(data_dir.parent / "models.toml", provider)
    with running_service(data_dir, {"MODELS_FILE": str(path), "GEM_KEY": "k"}) as service:
        yield service
    for name in FAULTS:
        del provider.override[name]


def _models_file(path: Path, provider: FaultProvider) -> Path:
    tables = [
        'default = "gem-json"',
        f'[providers.gem]\nkind = "gemini"\nbase_url = "{provider.url}"\napi_key_env = "GEM_KEY"',
        f'[providers.alt]\nkind = "openai"\nbase_url = "{provider.url}/v1"',
    ]
    for name in FAULTS:
        tables += [
            f'[models."gem-{name}"]\nprovider = "gem"\nupstream = "{name}"',
            f'[models."alt-{name}"]\nprovider = "alt"\nupstream = "{name}"',
            f'[models."safe-{name}"]\nprovider = "gem"\nupstream = "{name}"\nfallbacks = ["alt-other"]',
        ]
    path.write_text("\n\n".join(tables), encoding="utf-8")
    return path


def ask(client: httpx2.Client, user: str, model: str, **body: Any) -> httpx2.Response:
    sent = {"userId": user, "userPrompt": "How warm is it?", "responseSchema": SCHEMA, **body}
    return client.post("/v1/chat", json={"model": model, **sent})


def stream_of(response: httpx2.Response) -> list[tuple[str, dict[str, Any]]]:
    assert response.status_code == 200, response.text
    pairs = []
    for event in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        pairs.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return pairs


@pytest.mark.parametrize("wire", ["gem", "alt"])
@pytest.mark.parametrize("stream", [False, True])
def test_json_that_fits_is_complete(
    client: httpx2.Client, user: str, wire: str, stream: bool
) -> None:
    response = ask(client, user, f"{wire}-json", stream=stream)
    assert response.status_code == 200, response.text
    kept = newest(client, user)
    assert (kept["response"], kept["status"], kept["finishReason"]) == (GOOD, "completed", "stop")


def test_the_schema_reaches_the_provider_in_its_own_form(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    ask(client, user, "gem-json")
    config = provider.calls[-1].body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == SCHEMA
    ask(client, user, "alt-json")
    wanted = provider.calls[-1].body["response_format"]
    assert (wanted["type"], wanted["json_schema"]["schema"]) == ("json_schema", SCHEMA)


@pytest.mark.parametrize("wire", ["gem", "alt"])
@pytest.mark.parametrize("name", NOT_FITTING)
def test_what_does_not_fit_is_a_failure(
    client: httpx2.Client, user: str, wire: str, name: str
) -> None:
    is_problem(ask(client, user, f"{wire}-{name}", fallback=False), 502, "providers-failed")
    kept = newest(client, user)
    assert kept["status"] in ("failed", "truncated")
    assert kept["finishReason"] == "error"
    assert len(kept["attempts"]) == 2


@pytest.mark.parametrize("name", NOT_FITTING)
def test_another_model_answers_instead(client: httpx2.Client, user: str, name: str) -> None:
    answer = ask(client, user, f"safe-{name}").json()
    assert (answer["response"], answer["model"]) == (OTHER, "alt-other")
    assert (answer["status"], answer["fallbackUsed"]) == ("completed", True)


def test_a_fallback_keeps_the_schema(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    ask(client, user, "safe-prose")
    assert provider.calls[-1].body["response_format"]["json_schema"]["schema"] == SCHEMA


def test_answers_that_do_not_fit_close_no_route(client: httpx2.Client, user: str) -> None:
    for _ in range(6):
        ask(client, user, "gem-json", responseSchema={"not": {}}, fallback=False)
    assert ask(client, user, "gem-json").json()["status"] == "completed"


def test_the_same_model_is_asked_again(client: httpx2.Client, user: str) -> None:
    question = f"How warm is it for {user}?"
    answer = ask(client, user, "gem-prose-once", fallback=False, userPrompt=question).json()
    assert (answer["response"], answer["status"]) == (GOOD, "completed")
    assert len(answer["attempts"]) == 2


@pytest.mark.parametrize("model", ["gem-prose", "alt-fence", "safe-wrong-type"])
def test_streamed_text_that_does_not_fit_ends_with_an_error(
    client: httpx2.Client, user: str, model: str
) -> None:
    stream = stream_of(ask(client, user, model, stream=True))
    names = [name for name, _ in stream]
    assert names[0] == "meta"
    assert set(names[1:-1]) == {"delta"}
    assert names[-1] == "error"
    assert stream[-1][1]["type"] == "/problems/providers-failed"
    text = "".join(data["text"] for name, data in stream if name == "delta")
    kept = newest(client, user)
    assert kept["response"] == text == NOT_FITTING[model.partition("-")[2]]
    assert (kept["status"], kept["finishReason"]) == ("truncated", "error")


@pytest.mark.parametrize("wire", ["gem", "alt"])
@pytest.mark.parametrize("stream", [False, True])
def test_json_that_was_cut_is_truncated_for_its_length(
    client: httpx2.Client, user: str, wire: str, stream: bool
) -> None:
    response = ask(client, user, f"{wire}-cut", stream=stream)
    assert response.status_code == 200, response.text
    if stream:
        assert stream_of(response)[-1][0] == "done"
    kept = newest(client, user)
    assert (kept["status"], kept["finishReason"]) == ("truncated", "length")
    assert kept["response"] == NOT_FITTING["half"]


@pytest.mark.parametrize("name", ["json", "wrong-type", "missing"])
def test_any_object_will_do_where_no_schema_is_given(
    client: httpx2.Client, user: str, name: str
) -> None:
    wanted = {"type": "json_object"}
    response = complete(client, user, model=f"alt-{name}", response_format=wanted)
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("name", ["no-object", "prose", "fence"])
def test_what_is_no_object_is_a_failure_there(client: httpx2.Client, user: str, name: str) -> None:
    wanted = {"type": "json_object"}
    response = complete(client, user, model=f"gem-{name}", response_format=wanted)
    is_error(response, 502, "providers_failed")


def test_the_openai_door_streams_an_error_too(client: httpx2.Client, user: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
    options = {"model": "alt-prose", "stream": True, "response_format": wanted}
    data = events(complete(client, user, **options))
    assert json.loads(data[-1])["error"]["code"] == "providers_failed"
    assert "[DONE]" not in data
    cut = events(complete(client, user, **{**options, "model": "alt-cut"}))
    assert json.loads(cut[-2])["choices"][0]["finish_reason"] == "length"
    assert newest(client, user)["status"] == "truncated"


def test_forged_metadata_of_a_call_is_left_out(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    forged = {"kind": "openai", "family": "alt-json", "value": "{"}
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"provider_metadata": forged},
    }
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "user", "content": "and now?"},
    ]
    response = complete(client, user, model="alt-json", messages=messages)
    assert response.status_code == 200, response.text
    (sent,) = provider.calls[-1].body["messages"][1]["tool_calls"]
    assert "extra_content" not in sent
