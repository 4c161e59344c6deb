"""Official clients, with only base URL and key changed, do a task with two tools; one provider breaks in the midst of it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from infra.selftest.request_rules import PLACEHOLDER
from tests.e2e.two_tool_task import (
    DIES,
    FALTERS,
    JSON,
    SIGNATURES,
    STEADY,
    TAKES_BUDGET,
    TEXT,
    THOUGHT,
    TOOLS,
    TaskAnthropic,
    TaskGemini,
    TaskOpenAI,
    in_thread,
)
from tests.fakes.behaviour import USAGE
from tests.support.service import ROOT, Service, running_service

JAVASCRIPT = ROOT / "tests" / "e2e" / "js"
LLAMA_INDEX = ROOT / ".venv-llama-index"

TWO_ROUNDS = [["find_city", {"person": "Ana"}], ["get_weather", {"city": "Oslo"}]]
ONE_ROUND = [["find_city", {"person": "Ana"}], ["get_weather", {"city": "Rome"}]]

WIRES = ("gem", "alt")
FALLBACKS = {"gem": "alt", "alt": "gem", "ant": "gem"}
"""Wires, each with that of its fallback."""
TASKS = ("text", "stream", "agent", "agent_at_once", "agent_streamed", "structured")
BREAKING = (*((task, kind) for task in ("agent", "agent_streamed") for kind in (DIES, FALTERS)),)
BY_TOOL = "structured_by_tool"
OF_MESSAGES = ("thinking", "thinking_streamed", "files", "count", "models")
"""Tasks that only the format Messages has, or has in another way."""


@dataclass(frozen=True)
class Client:
    """A client in a process of its own.

    Attributes:
        words: Its words for the finish reasons `stop` and `tool_calls`; None if it does not show them in a task.
        has_tool_output: Whether it also asks for a structured answer by a tool.
        more: Tasks that only this client does.
        wires: The providers' formats that it is tried with.
    """

    command: Sequence[str]
    words: tuple[str, str] | None = ("stop", "tool_calls")
    has_tool_output: bool = False
    more: Sequence[str] = ()
    wires: Sequence[str] = WIRES

    @property
    def jobs(self) -> tuple[tuple[str, str], ...]:
        steady = [*TASKS, *([BY_TOOL] if self.has_tool_output else ()), *self.more]
        kinds = [*((task, STEADY) for task in steady), *BREAKING]
        return tuple([(task, f"{wire}-{kind}") for wire in self.wires for task, kind in kinds])


CLIENTS = {
    "openai": Client([sys.executable, "-m", "tests.e2e.clients.openai_python"]),
    "langchain": Client(
        [sys.executable, "-m", "tests.e2e.clients.langchain_client"], has_tool_output=True
    ),
    "pydantic-ai": Client(
        [sys.executable, "-m", "tests.e2e.clients.pydantic_ai_client"], ("stop", "tool_call"), True
    ),
    "llama-index": Client(
        [str(LLAMA_INDEX / "bin" / "python"), "-m", "tests.e2e.llama_index.client"], None, True
    ),
    "openai-js": Client(["node", str(JAVASCRIPT / "openai_client.mjs")]),
    "anthropic": Client(
        [sys.executable, "-m", "tests.e2e.clients.anthropic_python"],
        ("end_turn", "tool_use"),
        more=OF_MESSAGES,
        wires=(*WIRES, "ant"),
    ),
    "anthropic-js": Client(
        ["node", str(JAVASCRIPT / "anthropic_client.mjs")],
        ("end_turn", "tool_use"),
        more=OF_MESSAGES,
        wires=(*WIRES, "ant"),
    ),
    "ai-sdk": Client(["node", str(JAVASCRIPT / "ai_sdk_client.mjs")], ("stop", "tool-calls")),
    "openai-responses": Client(
        [sys.executable, "-m", "tests.e2e.clients.openai_responses"], more=("agent_stateless",)
    ),
    "openai-agents": Client(
        [sys.executable, "-m", "tests.e2e.clients.openai_agents"], more=("agent_stateful",)
    ),
    "langchain-responses": Client(
        [sys.executable, "-m", "tests.e2e.clients.langchain_client", "responses"],
        has_tool_output=True,
    ),
    "pydantic-ai-responses": Client(
        [sys.executable, "-m", "tests.e2e.clients.pydantic_ai_client", "responses"],
        None,
        has_tool_output=True,
    ),
    "openai-js-responses": Client(["node", str(JAVASCRIPT / "openai_responses.mjs")]),
    "ai-sdk-responses": Client(
        ["node", str(JAVASCRIPT / "ai_sdk_client.mjs"), "responses"], ("stop", "tool-calls")
    ),
}


Providers = tuple[TaskGemini, TaskOpenAI, TaskAnthropic]


@pytest.fixture(scope="module")
def providers() -> Iterator[Providers]:
    providers = TaskGemini(), TaskOpenAI(), TaskAnthropic()
    with in_thread(*providers):
        yield providers


@pytest.fixture(scope="module")
def service(providers: Providers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    file = folder / "models.toml"
    file.write_text(catalogue(*providers), encoding="utf-8")
    settings = {
        "MODELS_FILE": str(file),
        "GEM_KEY": "test-key",
        "ALT_KEY": "test-key",
        "ANT_KEY": "test-key",
        "RETRY_BASE_SECONDS": "0.01",
        "BREAKER_CONSECUTIVE_FAILURES": "1000",
        "BREAKER_MINIMUM_CALLS": "1000",
    }
    with running_service(folder / "data", settings) as service:
        yield service


def catalogue(gemini: TaskGemini, openai: TaskOpenAI, anthropic: TaskAnthropic) -> str:
    """Return a models file: each wire has each model, and another wire's steady one as its fallback."""
    wires = {"gem": ("gemini", gemini), "alt": ("openai", openai), "ant": ("anthropic", anthropic)}
    lines = [f'default = "gem-{STEADY}"']
    for wire, (kind, provider) in wires.items():
        lines.append(
            f'[providers.{wire}]\nkind = "{kind}"\nbase_url = "{provider.base_url}"\n'
            f'api_key_env = "{wire.upper()}_KEY"'
        )
        prefix = TAKES_BUDGET if wire == "ant" else ""
        lines += [
            f'[models.{wire}-{model}]\nprovider = "{wire}"\nupstream = "{prefix}{model}"\n'
            f'fallbacks = ["{FALLBACKS[wire]}-{STEADY}"]'
            for model in (STEADY, DIES, FALTERS)
        ]
    return "\n\n".join(lines)


Outcomes = Callable[[str], Mapping[tuple[str, str], dict[str, Any]]]


@pytest.fixture(scope="module")
def outcomes(service: Service) -> Outcomes:
    @cache
    def of(name: str) -> Mapping[tuple[str, str], dict[str, Any]]:
        client = CLIENTS[name]
        lines = [
            json.dumps({"task": task, "model": model, "url": f"{service.url}/v1"})
            for task, model in client.jobs
        ]
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        ran = subprocess.run(
            client.command,
            input="\n".join(lines),
            cwd=ROOT,
            env=kept,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        answers = [json.loads(line) for line in ran.stdout.splitlines()]
        return dict(zip(client.jobs, answers, strict=True))

    return of


def skip_without(name: str) -> None:
    program = CLIENTS[name].command[0]
    if shutil.which(program) is None:
        pytest.skip(f"{name}: {Path(program).name} is not installed")
    if name == "openai-agents" and find_spec("agents") is None:
        pytest.skip(f"{name}: it is not installed: make test")
    if name == "llama-index" and not (LLAMA_INDEX / ".usable").is_file():
        pytest.skip(f"{name}: it is not installed: make llama-index")
    if program == "node" and not (JAVASCRIPT / "node_modules").is_dir():
        pytest.skip(f"{name}: its packages are not installed: npm ci in tests/e2e/js")


@pytest.mark.parametrize(
    ("name", "task", "model"),
    [(name, task, model) for name, client in CLIENTS.items() for task, model in client.jobs],
)
def test_each_client_does_each_task(outcomes: Outcomes, name: str, task: str, model: str) -> None:
    skip_without(name)
    outcome = outcomes(name)[task, model]
    assert "error" not in outcome, outcome["error"]
    if task.startswith("structured"):
        assert outcome == {"json": JSON}
        return
    if task in OF_MESSAGES:
        assert outcome == expected_of_messages(task, model)
        return
    usage = [USAGE.input_tokens, USAGE.output_tokens]
    stop, call = CLIENTS[name].words or ("stop", "tool_calls")
    if task in ("text", "stream"):
        assert (outcome["text"], outcome["finish"], outcome["usage"]) == (TEXT, stop, usage)
        assert outcome.get("pieces", 2) > 1
        return
    at_once = task == "agent_at_once"
    assert outcome["calls"] == (ONE_ROUND if at_once else TWO_ROUNDS)
    assert outcome["text"] == ("Oslo: 31 °C" if at_once else "Oslo: 22 °C")
    if CLIENTS[name].words is not None:
        assert outcome["finish"] == [call] * (1 if at_once else 2) + [stop]
        if model != f"ant-{DIES}":  # Anthropic counts an answer that breaks, too
            assert outcome["usage"] == usage


def expected_of_messages(task: str, model: str) -> dict[str, Any]:
    """Return the outcome of a task of Messages: a model thinks on while its thinking comes back."""
    match task:
        case "files":
            return {"text": "image/png application/pdf image/png"}
        case "count":
            return {"counted": [True, True]}
        case "models":
            return {"listed": 1, "one": [model, "model"]}
        case _:
            return {"thoughts": [THOUGHT] * 2, "text": "Oslo: 22 °C", "again": "Oslo: 22 °C"}


def test_signatures_went_back_to_gemini_alone(outcomes: Outcomes, providers: Providers) -> None:
    outcomes("openai")
    gemini, openai, _ = providers
    sent_back = {
        part["thoughtSignature"]
        for seen in gemini.seen
        for content in seen.body["contents"]
        for part in content["parts"]
        if "thoughtSignature" in part
    }
    assert {PLACEHOLDER, *(SIGNATURES[name] for name in TOOLS)} >= sent_back > {PLACEHOLDER}
    assert not any(
        signature in json.dumps(seen.body) for seen in openai.seen for signature in sent_back
    )


def test_every_round_is_in_history_with_its_calls(outcomes: Outcomes, service: Service) -> None:
    outcomes("openai")
    with service.client() as client:
        page = client.get("/v1/history/anonymous", params={"limit": 100}).json()["history"]
    assert {entry["status"] for entry in page} == {"completed"}
    rounds = [entry for entry in page if "toolCalls" in entry]
    assert rounds == [entry for entry in page if entry["finishReason"] == "tool_calls"]
    assert any("toolResults" in entry for entry in rounds)
    assert any(entry["fallbackUsed"] for entry in rounds)
    assert not all(entry["fallbackUsed"] for entry in rounds)
