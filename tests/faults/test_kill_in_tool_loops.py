"""SIGKILL between a tool call and its result: every provider accepts the next turn, whatever it is."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from domain.entities.items import NOT_CARRIED_OUT
from tests.fakes.behaviour import Calls, Hangs, Says
from tests.faults.test_kill_after_200 import until
from tests.support.aws_emulator import shared_emulator
from tests.support.cloud_path import running_worker
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import shared_mongo_uri
from tests.support.service import running_service
from tests.support.tool_loops import (
    ALL_KINDS,
    CITY,
    StrictProviders,
    answered,
    ask,
    calls_sent,
    results_of,
    results_sent,
    strict_providers,
)

STORES = ("embedded", "mongodb", "dynamodb", "sqs")


@pytest.fixture
def providers() -> Iterator[StrictProviders]:
    with strict_providers() as providers:
        yield providers


def settings_of(store: str) -> dict[str, str]:
    if store == "embedded":
        return {}
    if store == "mongodb":
        return {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"tools_{secrets.token_hex(4)}"}
    settings = deploy_data_stack(shared_emulator()).settings
    if store == "dynamodb":
        settings = {name: settings[name] for name in settings if not name.startswith("SQS")}
    return settings


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.faults)])
def test_a_call_whose_server_was_killed_is_settled_once(
    tmp_path: Path, providers: StrictProviders, store: str, kills: int
) -> None:
    """Killed after the call was answered, and while the results were being answered, in turn."""
    settings = providers.settings(tmp_path) | settings_of(store)
    data_dir = tmp_path / "data"
    with ExitStack() as stack:
        if store == "sqs":
            stack.enter_context(running_worker(tmp_path / "worker", settings))
        for kill in range(kills):
            # each kind makes the call, and each is asked next, with either moment of the kill
            made_by, asked_next = ALL_KINDS[kill // 2 % 3], ALL_KINDS[(kill // 6 + kill) % 3]
            called = call_and_kill(providers, data_dir, settings, made_by, kill)
            with running_service(data_dir, settings) as service, service.client() as client:
                go_on_with_a_question(providers, client, called, asked_next)
    assert providers.refused() == []


def call_and_kill(
    providers: StrictProviders, data_dir: Path, settings: dict[str, str], made_by: str, kill: int
) -> dict[str, Any]:
    """Return the interaction with the calls of a service that was killed after it answered."""
    provider = providers.of(made_by)
    signature = f"c2ln{kill:04d}" if made_by == "gem" else ""
    with running_service(data_dir, settings) as service, service.client() as client:
        first = Calls("get_weather", CITY, id=f"call_{kill}", signature=signature)
        provider.then(Says([first, Calls("get_weather", '{"city":"Rome"}', id=f"call_{kill}b")]))
        called = answered(ask(client, conversationId=f"c{kill}", model=made_by))
        assert [call["arguments"]["city"] for call in called["toolCalls"]] == ["Paris", "Rome"]
        if kill % 2 == 0:
            service.kill()
            return called
        before = len(provider.seen)
        provider.then(Hangs())
        answers: list[httpx2.Response] = []

        def send_results() -> None:
            with service.client() as other, suppress(httpx2.TransportError):
                sent = ask(
                    other,
                    conversationId=f"c{kill}",
                    model=made_by,
                    toolResults=results_of(called),
                    userPrompt=None,
                )
                answers.append(sent)

        sending = threading.Thread(target=send_results)
        sending.start()
        until(lambda: len(provider.seen) > before or bool(answers))
        assert [answer.text for answer in answers] == []
        service.kill()
        sending.join(10)
    return called


def go_on_with_a_question(
    providers: StrictProviders, client: httpx2.Client, called: dict[str, Any], asked_next: str
) -> None:
    conversation = called["conversationId"]
    path = f"/v1/history/ana/{called['id']}"
    until(lambda: client.get(path).status_code == 200)  # behind a queue it takes a moment
    question = answered(
        ask(client, conversationId=conversation, model=asked_next, userPrompt="Never mind.")
    )
    settled = [
        {"callId": call["id"], "output": NOT_CARRIED_OUT, "isError": True}
        for call in called["toolCalls"]
    ]
    assert question["toolResults"] == settled
    path = f"/v1/history/ana/{question['id']}"
    until(lambda: client.get(path).status_code == 200)
    kept = client.get(path).json()
    assert (kept["toolResults"], kept["userPrompt"]) == (settled, "Never mind.")

    late = ask(client, conversationId=conversation, toolResults=results_of(called), userPrompt=None)
    assert late.status_code == 422, late.text
    assert late.json()["errors"][0]["pointer"] == "/toolResults"
    for kind in ALL_KINDS:
        on_a_branch = ask(
            client,
            previousId=called["id"],
            model=kind,
            toolResults=results_of(called),
            userPrompt=None,
        )
        assert "toolCalls" not in answered(on_a_branch)
        body = providers.of(kind).seen[-1].body
        assert [result for _, result in results_sent(body) if NOT_CARRIED_OUT in result] == []
    for kind in ALL_KINDS:
        after = ask(client, previousId=question["id"], model=kind, userPrompt="And now?")
        assert "toolResults" not in answered(after)
        body = providers.of(kind).seen[-1].body
        ids = [call["id"] for call in called["toolCalls"]]
        assert [call_id for call_id, _ in calls_sent(body)] == ids
        assert [call_id for call_id, _ in results_sent(body)] == ids
        assert all(NOT_CARRIED_OUT in result for _, result in results_sent(body))
        # with the branches among its turns
        answered(ask(client, conversationId=conversation, model=kind, userPrompt="And now?"))


@pytest.mark.parametrize(
    ("store", "kills"),
    [
        ("embedded", 2),
        ("sqs", 1),
        *(pytest.param(store, 20, marks=pytest.mark.faults) for store in STORES),
    ],
)
def test_results_that_were_lost_with_the_server_may_be_sent_again(
    tmp_path: Path, providers: StrictProviders, store: str, kills: int
) -> None:
    settings = providers.settings(tmp_path) | settings_of(store)
    data_dir = tmp_path / "data"
    with ExitStack() as stack:
        if store == "sqs":
            stack.enter_context(running_worker(tmp_path / "worker", settings))
        for kill in range(kills):
            made_by, asked_next = ALL_KINDS[kill % 3], ALL_KINDS[kill // 3 % 3]
            called = call_and_kill(providers, data_dir, settings, made_by, 2 * kill + 1)
            with running_service(data_dir, settings) as service, service.client() as client:
                again = ask(
                    client,
                    conversationId=called["conversationId"],
                    model=asked_next,
                    toolResults=results_of(called),
                    userPrompt=None,
                )
                assert answered(again)["response"] == "Hello world"
                outputs = [
                    output for _, output in results_sent(providers.of(asked_next).seen[-1].body)
                ]
                assert len(outputs) == len(called["toolCalls"])
                assert all("22" in output for output in outputs)
    assert providers.refused() == []
