"""Measures requests as large as those of coding agents, compared with the baseline and with a LiteLLM proxy.

python -m venv /tmp/litellm && /tmp/litellm/bin/pip install 'litellm[proxy]'
python -m bench.agents --litellm /tmp/litellm/bin/litellm     # about ten minutes; writes bench/AGENTS.md
python -m bench.agents                                        # without LiteLLM; writes nothing
"""

import argparse
import asyncio
import http.client
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import orjson
from tqdm import tqdm

from bench.harness import processes
from bench.harness.load import closed_loop, post, quantile
from bench.harness.measures import CHAT, COMPLETIONS, RESPONSES, Costs, Target, costs
from bench.harness.processes import Service, Watched
from bench.harness.report import Row, as_table, machine

RESULTS = Path(__file__).parent / "AGENTS.md"

_MODEL = "mock"
_SESSIONS = 64
_MESSAGES = 60
_TOOLS = 20
_CONNECTIONS = 16
_TURNS = (20, 200)
_MOST_RECALL_RATIO = 1.5
_BACKGROUND = 1000
_MOST_GROWTH = 0.10
_MIB = 2**20
_NUMBER = b"question 0000000000"


def agent_body() -> bytes:
    """Return a request of 150 KB: 60 messages with calls of tools and their results, and 20 tools."""
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "Follow the conventions of the project. " * 200}
    ]
    for number in range((_MESSAGES - 3) // 2):
        call = {"name": f"tool_{number % _TOOLS}", "arguments": f'{{"path":"module_{number}.py"}}'}
        messages += [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"call_{number}", "type": "function", "function": call}],
            },
            {
                "role": "tool",
                "tool_call_id": f"call_{number}",
                "content": f"{number}: a line of a file that the agent has read\n" * 90,
            },
        ]
    messages.insert(1, {"role": "user", "content": "Rename the function everywhere."})
    messages.append({"role": "user", "content": _NUMBER.decode()})
    tools = [
        {
            "type": "function",
            "function": {
                "name": f"tool_{number}",
                "description": "Reads, writes or runs something of the project. " * 16,
                "parameters": {
                    "type": "object",
                    "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
                    "required": ["path"],
                },
            },
        }
        for number in range(_TOOLS)
    ]
    return orjson.dumps({"model": _MODEL, "messages": messages, "tools": tools, "user": "ana"})


def small_body() -> bytes:
    """Return a request with one short message."""
    messages = [{"role": "user", "content": _NUMBER.decode()}]
    return orjson.dumps({"model": _MODEL, "messages": messages, "user": "ana"})


def requests(body: bytes, *, key: str | None = None, in_session: bool = False) -> Iterator[bytes]:
    """Yield requests without end, each with another last message; with `in_session` as turns of 64 sessions."""
    heads = []
    for number in range(_SESSIONS):
        headers = {"X-Conversation-Id": f"session-{number}"} if in_session else {}
        heads.append(post(COMPLETIONS, body, key=key, headers=headers).removesuffix(body))
    start, _, end = body.partition(_NUMBER)
    for number in itertools.count():
        yield b"%s%squestion %010d%s" % (heads[number % _SESSIONS], start, number, end)


async def sizes(
    service: Service, upstream: Watched, litellm: Service | None, *, rounds: int, seconds: float
) -> list[Row]:
    """Return the CPU time of one request, small and as large as an agent's, of each process alternately."""
    rows = []
    agent = agent_body()
    with ExitStack() as stack:
        baseline = stack.enter_context(processes.passthrough(upstream))
        for size, body in (("small", small_body()), ("agent-sized", agent)):
            targets = [
                Target("baseline", baseline, requests(body)),
                Target("service", service.process, requests(body, key=service.key)),
            ]
            if body is agent:
                in_session = requests(body, key=service.key, in_session=True)
                targets.append(Target("service, in a session", service.process, in_session))
            if litellm is not None:
                targets.append(Target("LiteLLM", litellm.process, requests(body, key=litellm.key)))
            with tqdm(total=len(targets) * (rounds + 1), desc=size, file=sys.stderr) as bar:
                found = await costs(
                    targets,
                    rounds=rounds,
                    seconds=seconds,
                    connections=_CONNECTIONS,
                    progress=bar.update,
                )
            rows.append(Row(f"{size}: body, KB", f"{len(body) / 1000:.1f}"))
            rows += _size_rows(size, found)
    return rows


def _size_rows(size: str, found: Mapping[str, Costs]) -> list[Row]:
    baseline = found["baseline"].cpu
    rows = []
    for name, cost in found.items():
        if cost.errors:
            raise RuntimeError(f"{size}, {name}: {cost.errors} requests failed")
        rows += [
            Row(f"{size}: {name}, CPU ms", f"{cost.cpu:.2f}"),
            Row(f"{size}: {name}, times the baseline", f"{cost.cpu / baseline:.1f}"),
        ]
    return rows


async def recall(service: Service, *, rounds: int, seconds: float) -> list[Row]:
    """Return the CPU time of a chat that continues a conversation of 20 and of 200 turns."""
    targets = []
    for turns in _TURNS:
        previous: dict[str, object] = {}
        for number in tqdm(range(turns), desc=f"{turns} turns", file=sys.stderr):
            body = {"userId": "ana", "userPrompt": f"Question {number}", **previous}
            previous = {"previousId": _begin(service, CHAT, body)}
        body = {"userId": "ana", "userPrompt": "And now?", **previous}
        request = post(CHAT, orjson.dumps(body), key=service.key)
        targets.append(Target(str(turns), service.process, request))
    with tqdm(total=len(targets) * (rounds + 1), desc="recall", file=sys.stderr) as bar:
        found = await costs(
            targets,
            rounds=rounds,
            seconds=seconds,
            connections=_CONNECTIONS,
            progress=bar.update,
        )
    a_turn = {turns: found[str(turns)].cpu / turns for turns in _TURNS}
    few, many = (a_turn[turns] for turns in _TURNS)
    return [
        *(
            Row(f"conversation of {turns} turns: CPU ms", f"{found[str(turns)].cpu:.2f}")
            for turns in _TURNS
        ),
        Row(
            f"CPU for each turn that is sent, {_TURNS[1]} turns against {_TURNS[0]}",
            f"{many / few:.2f}",
            f"≤ {_MOST_RECALL_RATIO}",
        ),
    ]


async def background(service: Service) -> list[Row]:
    """Return the cost of 1 000 concurrent background answers of about three seconds each, and the memory after three such rounds."""
    prompt = "mock(chunks=30,gap=0.1)"
    body = orjson.dumps({"user": "ana", "input": prompt, "background": True})
    request = post(RESPONSES, body, key=service.key)
    resident, cpu, taken = [], [], []
    for _ in tqdm(range(4), desc=f"{_BACKGROUND} background answers", file=sys.stderr):
        before, started = service.process.cpu_seconds(), time.monotonic()
        outcome = await closed_loop(
            service.process.port, request, connections=_BACKGROUND, seconds=0.0
        )
        if outcome.errors:
            raise RuntimeError(f"{outcome.statuses}")
        await _until_idle(service)
        taken.append(time.monotonic() - started)
        cpu.append((service.process.cpu_seconds() - before) / _BACKGROUND * 1000)
        resident.append(service.process.resident_bytes() / _MIB)
    growth = resident[-1] / resident[1] - 1
    return [
        Row(
            f"{_BACKGROUND} background answers of 30 pieces in 3 s: all ended after, s",
            f"{quantile(taken, 0.5):.1f}",
        ),
        Row("CPU of each, ms", f"{quantile(cpu, 0.5):.2f}"),
        Row("RSS after each round, MiB", ", ".join(f"{mib:.0f}" for mib in resident)),
        Row("growth from the second round to the last", f"{growth:+.1%}", f"≤ {_MOST_GROWTH:+.0%}"),
    ]


async def _until_idle(service: Service) -> None:
    """Wait until no background answer is running."""
    while True:
        if not _is_busy(service):
            return
        await asyncio.sleep(0.1)


def _is_busy(service: Service) -> bool:
    text = _call(service, "GET", "/metrics").decode()
    values = [line for line in text.splitlines() if line.startswith("rt_background_answers ")]
    return any(float(line.split()[-1]) for line in values)


def _begin(service: Service, path: str, body: dict[str, object]) -> str:
    return str(orjson.loads(_call(service, "POST", path, orjson.dumps(body)))["id"])


def _call(service: Service, method: str, path: str, content: bytes = b"") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", service.process.port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {service.key}"}
    connection.request(method, path, content, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status >= 400:
        raise RuntimeError(f"{answer.status}: {text[:500]!r}")
    return text


async def run(litellm: str | None, *, rounds: int, seconds: float) -> None:
    """Measure and print, and write `AGENTS.md` where LiteLLM was measured."""
    load_before = os.getloadavg()[0]
    with ExitStack() as stack:
        upstream = stack.enter_context(processes.provider())
        proxy = None
        if litellm is not None:
            proxy = stack.enter_context(processes.litellm(litellm, upstream, model=_MODEL))
        settings = {
            "GEMINI_API_KEY": "",
            "OPENAI_API_KEY": "mock",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream.port}/v1",
            "OPENAI_MODEL": _MODEL,
        }
        with processes.service(upstream, **settings) as service:
            rows = await sizes(service, upstream, proxy, rounds=rounds, seconds=seconds)
            rows += await recall(service, rounds=rounds, seconds=seconds)
        limits = {
            "MAX_BACKGROUND_ANSWERS": str(_BACKGROUND),
            "CALLER_CONCURRENT_REQUESTS": str(_BACKGROUND),
        }
        with processes.service(upstream, **settings, **limits) as service:
            rows += await background(service)
    print(as_table(rows))
    if litellm is not None:
        _write(rows, _version(litellm), (load_before, os.getloadavg()[0]))


def _version(litellm: str) -> str:
    printed = subprocess.run(  # noqa: S603 - the program that was asked for
        [litellm, "--version"], capture_output=True, text=True, check=True
    )
    return printed.stdout.split()[-1]


def _write(rows: Sequence[Row], version: str, loads: tuple[float, float]) -> None:
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    RESULTS.write_text(
        f"""# Cost of agent-sized requests

Generated by `python -m bench.agents --litellm …`. {moment}, on {machine()}, load average {loads[0]:.1f} at the start and {loads[1]:.1f} at the end.

{as_table(rows)}

- *CPU* is the CPU time of the process, with all threads, for one `POST /v1/chat/completions`, measured alternately; the median of the rounds. {_CONNECTIONS} connections.
- *Agent-sized* is a conversation of {_MESSAGES} messages with tool calls and their results, and {_TOOLS} tools. Each request has another last message.
- The *baseline* is `bench/servers/passthrough.py`, which forwards the body and parses and stores nothing.
- *Service*: default settings and an API key; each interaction is committed to the disk before it is answered. *In a session*: with
  `X-Conversation-Id`, so that only messages that are new in the conversation are stored. Without it, each request is stored as a separate interaction with all of its messages.
- *LiteLLM* is {version}, a proxy with one worker and without a database; it stores nothing.
- *Conversation of n turns*: `POST /v1/chat` with `previousId`; the service reads the earlier turns from its history and sends them.
"""
    )


def main() -> None:
    """Read the command line and measure."""
    import uvloop

    parser = argparse.ArgumentParser(
        prog="python -m bench.agents", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--litellm", help="the LiteLLM program to compare with")
    parser.add_argument("--rounds", type=int, default=5, help="turns of all (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn (3)")
    arguments = parser.parse_args()
    uvloop.run(run(arguments.litellm, rounds=arguments.rounds, seconds=arguments.seconds))


if __name__ == "__main__":
    main()
