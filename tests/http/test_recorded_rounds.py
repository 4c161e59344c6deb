"""Recorded answers with tool calls, through each door and back to a provider that refuses what real ones refuse."""

from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import pytest

from tests.fakes.behaviour import Calls
from tests.fakes.recordings import Recording
from tests.support.service import plain_client, running_service
from tests.support.tool_doors import DOORS, Completions, CompletionsStream, Door, Native
from tests.support.tool_loops import StrictProviders, calls_sent, results_sent, strict_providers
from tests.unit.infra.llm.providers.test_recorded_tools import (
    ALL,
    as_we_write,
    following_name,
    found,
    is_anthropic,
    is_bedrock,
    is_gemini,
    openai_form,
    outputs_in,
    without_ids,
)
from tests.unit.infra.llm.providers.test_recorded_tools import (
    CALLS as ALL_CALLS,
)

pytestmark = pytest.mark.skipif(not ALL, reason="the recordings are not at hand")

# Behind these doors are two providers; the recordings of others are replayed in the tests of their packages.
CALLS = {
    name: calls
    for name, calls in ALL_CALLS.items()
    if not is_anthropic(name) and not is_bedrock(name)
}
ROUNDS = sorted(name for name in CALLS if following_name(name) in ALL)


@pytest.fixture(scope="module")
def providers() -> Iterator[StrictProviders]:
    with strict_providers() as providers:
        yield providers


@pytest.fixture(scope="module")
def client(
    providers: StrictProviders, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("recorded")
    with (
        running_service(folder / "data", providers.settings(folder)) as service,
        plain_client(service.url) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _fresh(providers: StrictProviders) -> None:
    providers.gem.seen.clear()
    providers.alt.seen.clear()


def replay(providers: StrictProviders, recording: Recording) -> None:
    """Let the provider give this answer next, and demand its signatures back from then on."""
    provider = providers.of(kind_of(recording.name))
    if is_gemini(recording.name):
        signatures = signatures_in(recording)
        names = [name for name, _ in CALLS.get(recording.name, [])]
        # only the first of parallel calls is signed
        providers.gem.issue(
            [Calls(name, signature=one) for name, one in zip(names, signatures, strict=False)]
        )
    provider.then(recording.as_stream())


def kind_of(name: str) -> str:
    return "gem" if is_gemini(name) else "alt"


def signatures_in(recording: Recording) -> list[str]:
    return [str(value) for value in found(recording, "thoughtSignature")]


def at_the_door(door: type[Door], client: httpx2.Client, name: str) -> Door:
    names = dict.fromkeys(call for calls in CALLS.values() for call, _ in calls)
    tools = [{"name": call} for call in names]
    return door(client, kind_of(name), f"{door.__name__}-{name}", tools=tools)


def arguments_in(body: Any) -> list[Any]:
    """Return the arguments of each call in a provider's request: OpenAI's as text, Gemini's as an object."""
    if "contents" not in body:
        return [
            call["function"]["arguments"]
            for message in body["messages"]
            for call in message.get("tool_calls", ())
        ]
    return [
        part["functionCall"]["args"]
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", sorted(CALLS) or [""])
def test_calls_go_through_a_door_and_back_as_they_came(
    providers: StrictProviders, client: httpx2.Client, door: type[Door], name: str
) -> None:
    provider = providers.of(kind_of(name))
    chat = at_the_door(door, client, name)
    replay(providers, ALL[name])
    chat.ask()
    names = [call for call, _ in CALLS[name]]
    documents = [arguments for _, arguments in CALLS[name]]
    assert [call["name"] for call in chat.calls] == names
    given = [call["arguments"] for call in chat.calls]
    if isinstance(chat, Completions):
        given = [orjson.loads(arguments) for arguments in given]
    assert given == documents
    recorded_ids = [str(one) for one in found(ALL[name], "id") if str(one).startswith("call_")]
    if recorded_ids:
        assert chat.ids == list(dict.fromkeys(recorded_ids))

    for question in (None, "And now?"):
        if question is None:
            chat.send_results()
        else:
            chat.ask(question)
        body = provider.seen[-1].body
        assert calls_sent(body) == list(zip(chat.ids, names, strict=True))
        assert [call_id for call_id, _ in results_sent(body)] == chat.ids
        if is_gemini(name):
            assert arguments_in(body) == documents
            # without the client's help those of the loop that is under way are found again
            if question is None or not isinstance(chat, CompletionsStream):
                signatures = signatures_in(ALL[name])
                assert [one for one in sent_signatures(body) if one in signatures] == signatures
        else:
            recorded = "".join(found(ALL[name], "arguments")).strip() or "{}"
            assert arguments_in(body) == [recorded]
    if isinstance(chat, Native):
        kept = kept_calls(client, chat.conversation)
        assert [(call["id"], call["name"]) for call in kept] == list(
            zip(chat.ids, names, strict=True)
        )
        assert [call["arguments"] for call in kept] == documents
    assert providers.refused() == []


def sent_signatures(body: Any) -> list[str]:
    return [
        part["thoughtSignature"]
        for content in body["contents"]
        for part in content["parts"]
        if "thoughtSignature" in part
    ]


def kept_calls(client: httpx2.Client, conversation: str) -> list[dict[str, Any]]:
    """Return the calls of a conversation in history."""
    parameters = {"conversationId": conversation, "order": "asc"}
    page = client.get("/v1/history/ana", params=parameters).json()["history"]
    return [call for turn in page for call in turn.get("toolCalls", ())]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ROUNDS or [""])
def test_the_next_request_is_the_one_that_was_accepted(
    providers: StrictProviders, client: httpx2.Client, door: type[Door], name: str
) -> None:
    """Recorded conversations up to a call, with the recorded results; its request is compared as a whole."""
    base, _, number = name.rpartition("_")
    accepted = ALL[following_name(name)].request["json"]
    messages = accepted.get("contents") or [
        message for message in accepted["messages"] if message["role"] != "system"
    ]
    first = messages[0]
    question = first.get("content") or "".join(part["text"] for part in first["parts"])
    chat = at_the_door(door, client, f"{name}-whole")
    for turn in range(int(number) + 1):
        replay(providers, ALL[f"{base}_{turn}"])
        if turn == 0:
            chat.ask(question)
            continue
        (output,) = outputs_in(messages[2 * turn])
        chat.send_results(output)
    (output,) = outputs_in(messages[2 * int(number) + 2])
    chat.send_results(output)
    body = providers.of(kind_of(name)).seen[-1].body
    if not is_gemini(name):
        assert openai_form(body["messages"]) == openai_form(messages)
    elif isinstance(chat, Native):  # in OpenAI's format results are texts
        assert without_ids(body["contents"]) == as_we_write(messages)
    assert providers.refused() == []
