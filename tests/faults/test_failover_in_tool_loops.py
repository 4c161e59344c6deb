"""From one provider to another and back within a tool loop, at both doors, however the first one fails."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import orjson
import pytest

from infra.selftest.request_rules import PLACEHOLDER
from tests.fakes import openai as openai_fake
from tests.fakes.behaviour import Behaviour, Breaks, Calls, Raw, Refuses, Says, Thinks
from tests.faults.conftest import PATIENT_BREAKER
from tests.faults.pace import SCALED
from tests.support.service import plain_client, running_service
from tests.support.tool_doors import DOORS, Door, Native, NativeStream
from tests.support.tool_loops import (
    ALL_KINDS,
    KINDS,
    WEATHER,
    StrictProviders,
    calls_sent,
    cut_within_a_call,
    results_sent,
    strict_providers,
)

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

SCHEMA = {
    "type": "object",
    "properties": {"celsius": {"type": "number"}},
    "required": ["celsius"],
    "additionalProperties": False,
}
OF_GEMINI = ("c2ln", "thoughtSignature", PLACEHOLDER)
FINAL = '{"celsius": 22}'
HEALTHY = Says([FINAL])
WAYS = ("refuses", "breaks off", "dies in a call", "dies after text in a call", "dies after a call")


@pytest.fixture(scope="module")
def providers() -> Iterator[StrictProviders]:
    with strict_providers() as providers:
        yield providers


@pytest.fixture(scope="module")
def client(
    providers: StrictProviders, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("tool-loops")
    goes_on = "context_tokens = 100000\nmax_output_tokens = 1000\ncontinues = true"
    settings = {
        **providers.settings(folder, gem=goes_on, alt=goes_on, ant=goes_on),
        **PATIENT_BREAKER,
        "RETRY_BASE_SECONDS": str(SCALED.retry_base_seconds),
    }
    with (
        running_service(folder / "data", settings) as service,
        plain_client(service.url, 60.0) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _fresh(providers: StrictProviders) -> None:
    for kind in ALL_KINDS:
        provider = providers.of(kind)
        provider.seen.clear()
        provider.behaviours.clear()
        provider.default = HEALTHY


def failing(providers: StrictProviders, kind: str, way: str) -> Behaviour:
    """Return what a provider does that fails in some way."""
    provider = providers.of(kind)
    match way:
        case "refuses":
            return Refuses(503)
        case "breaks off":
            return Breaks()
        case "dies in a call":
            return cut_within_a_call(provider.render, Thinks("lost thought"))
        case "dies after text in a call":
            return cut_within_a_call(provider.render, '{"celsius":')
        case _:
            return Breaks([Calls("get_weather", "{}", id="call_lost", signature="bG9zdA==")])


def a_round(number: int, kind: str) -> Says:
    """Return an answer with a call: Gemini's has a signature and no id."""
    is_gemini = kind == "gem"
    call = Calls(
        "get_weather",
        f'{{"city":"Paris {number}"}}',
        id="" if is_gemini else f"call_{number}",
        signature=f"c2lnbmF0dXJl{number:04d}" if is_gemini else "",
    )
    return Says([Thinks(f"thought {number} of {kind}"), call])


def check_bodies(providers: StrictProviders, ids: Sequence[str]) -> None:
    """Check what holds for all requests of one loop, refused attempts included."""
    assert providers.refused() == []
    for kind in ALL_KINDS:
        for seen in providers.of(kind).seen:
            sent = [call_id for call_id, _ in calls_sent(seen.body)]
            assert sent == list(ids)[: len(sent)]
            assert [call_id for call_id, _ in results_sent(seen.body)] == sent
            text = orjson.dumps(seen.body).decode()
            if kind == "gem":
                assert seen.body["generationConfig"]["responseJsonSchema"] == SCHEMA
                foreign = ("of alt", "of ant", "reasoning_", "extra_content", "encrypted")
            elif kind == "alt":
                assert seen.body["response_format"]["json_schema"]["schema"] == SCHEMA
                foreign = ("of gem", "of ant", "extra_content", *OF_GEMINI)
            else:
                assert seen.body["output_config"]["format"]["schema"] == SCHEMA
                foreign = ("of gem", "of alt", "reasoning_", "extra_content", *OF_GEMINI)
            for mark in foreign:
                assert mark not in text
            assert "lost" not in text, "an attempt that failed has left nothing"


def signatures_sent(body: Any) -> list[str]:
    """Return the signature of each call in a request to Gemini."""
    return [
        part["thoughtSignature"]
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


@pytest.mark.parametrize(
    ("door", "way", "first"),
    [
        (door, way, first)
        for door in DOORS
        for way in WAYS
        for first in KINDS
        # a call that went out of a stream cannot be taken back: that is another test
        if not (way == "dies after a call" and door.is_streamed and first == "gem")
    ],
)
def test_a_loop_goes_on_at_the_other_provider_and_back(
    providers: StrictProviders, client: httpx2.Client, door: type[Door], way: str, first: str
) -> None:
    second = KINDS[1 - KINDS.index(first)]
    at_door = door(client, first, f"{door.__name__}-{first}-{way}".replace(" ", "-"), schema=SCHEMA)
    answered_by = (first, second, second, first, first, second)
    for number, kind in enumerate(answered_by):
        other = KINDS[1 - KINDS.index(kind)]
        providers.of(kind).default = HEALTHY
        if kind == second:
            providers.of(first).default = failing(providers, first, way)
        before = len(providers.of(other).seen)
        if other == first:
            providers.of(kind).then(a_round(number, kind))
        else:
            providers.of(first).then(a_round(number, first))
        if number == 0:
            at_door.ask()
        else:
            at_door.send_results()
        assert len(at_door.ids) == number + 1
        assert (len(providers.of(other).seen) > before) == (kind == second)
    providers.of(first).default = HEALTHY
    at_door.send_results()
    assert json.loads(at_door.text) == {"celsius": 22}

    check_bodies(providers, at_door.ids)
    made_by_gem = [number for number, kind in enumerate(answered_by) if kind == "gem"]
    for seen in providers.gem.seen:
        expected = [
            f"c2lnbmF0dXJl{number:04d}" if number in made_by_gem else PLACEHOLDER
            for number in range(len(calls_sent(seen.body)))
        ]
        assert signatures_sent(seen.body) == expected


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("first", ALL_KINDS)
def test_a_loop_goes_over_three_providers_and_back(
    providers: StrictProviders, client: httpx2.Client, door: type[Door], first: str
) -> None:
    routes = (first, *(kind for kind in ALL_KINDS if kind != first))
    at_door = door(client, first, f"three-{door.__name__}-{first}", schema=SCHEMA)
    answered_by = [routes[position] for position in (0, 1, 2, 2, 1, 0, 2, 0)]
    for number, kind in enumerate(answered_by):
        for route in routes:
            is_away = routes.index(route) < routes.index(kind)
            providers.of(route).default = Refuses(503) if is_away else HEALTHY
        providers.of(kind).then(a_round(number, kind))
        if number == 0:
            at_door.ask()
        else:
            at_door.send_results()
        assert len(at_door.ids) == number + 1
        assert not providers.of(kind).behaviours, "it was this one that answered"
    at_door.send_results()
    assert json.loads(at_door.text) == {"celsius": 22}

    check_bodies(providers, at_door.ids)
    expected = [
        f"c2lnbmF0dXJl{number:04d}" if kind == "gem" else PLACEHOLDER
        for number, kind in enumerate(answered_by)
    ]
    for seen in providers.gem.seen:
        sent = signatures_sent(seen.body)
        assert sent == expected[: len(sent)]
    last = providers.ant.seen[-1].body
    own = [number for number in range(len(calls_sent(last))) if answered_by[number] == "ant"]
    assert own
    assert all(f"thought {number} of ant" in orjson.dumps(last).decode() for number in own)


def detailed_call(number: int, details: Sequence[dict[str, Any]]) -> Raw:
    """Return an answer with a call and OpenRouter's `reasoning_details`."""
    call = {
        "index": 0,
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
    }
    chunks = [
        *(openai_fake.chunk({"reasoning_details": [one]}) for one in details),
        openai_fake.chunk({"tool_calls": [call]}),
        openai_fake.chunk(finish_reason="tool_calls"),
    ]
    return Raw([*(openai_fake.event(chunk) for chunk in chunks), openai_fake.DONE])


@pytest.mark.parametrize("door", [Native, NativeStream])
def test_reasoning_details_go_back_to_their_provider_only(
    providers: StrictProviders, client: httpx2.Client, door: type[Door]
) -> None:
    encrypted = {
        "type": "reasoning.encrypted",
        "data": "ZW5jcnlwdGVk+/=",
        "id": "rs_1",
        "format": "openai-responses-v1",
        "index": 0,
    }
    at_door = door(client, "alt", f"details-{door.__name__}", schema=SCHEMA)
    providers.alt.then(detailed_call(0, [encrypted]))
    at_door.ask()
    providers.alt.default = Refuses(503)
    providers.gem.then(a_round(1, "gem"))
    at_door.send_results()
    providers.alt.default = HEALTHY
    at_door.send_results()
    assert json.loads(at_door.text) == {"celsius": 22}
    check_bodies(providers, at_door.ids)
    first, second = (
        message for message in providers.alt.seen[-1].body["messages"] if "tool_calls" in message
    )
    assert first["reasoning_details"] == [encrypted]
    assert not second.keys() & {"reasoning", "reasoning_content", "reasoning_details"}


@pytest.mark.parametrize("asked_next", KINDS)
@pytest.mark.parametrize("with_results", [True, False])
def test_a_stream_that_broke_after_a_call_leaves_a_valid_conversation(
    providers: StrictProviders, client: httpx2.Client, asked_next: str, with_results: bool
) -> None:
    call = Calls("get_weather", '{"city":"Rome"}', signature="c2ln")
    providers.gem.then(Breaks([Thinks("Hm."), call]))
    body: dict[str, Any] = {
        "userId": "ana",
        "conversationId": f"broken-{asked_next}-{with_results}",
        "tools": [WEATHER],
    }
    broken = client.post("/v1/chat", json={**body, "userPrompt": "Warm?", "stream": True})
    *_, called, error = broken.text.removesuffix("\n\n").split("\n\n")
    assert called.startswith("event: tool_call\n")
    assert error.startswith("event: error\n")
    call_id = json.loads(called.split("data: ")[1])["id"]
    results = [{"callId": call_id, "output": "22"}]
    new = {"toolResults": results} if with_results else {"userPrompt": "Never mind."}
    after = client.post("/v1/chat", json={**body, **new, "model": asked_next})
    assert after.status_code == 200, after.text
    assert providers.refused() == []
    assert [sent for sent, _ in results_sent(providers.of(asked_next).seen[-1].body)] == [call_id]
