"""Measures what a session of a coding agent stores in history: each request repeats all earlier messages.

python -m bench.agent_session                  # a thousand requests, some minutes
python -m bench.agent_session --requests 100
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson

from tests.support.service import running_service

CONVERSATION = "session"
USER = "anonymous"
_KIB = 1024
_INSTRUCTIONS = "Follow the conventions of the project. " * 500
_TOOLS = [
    {
        "name": f"tool_{number}",
        "description": f"Tool {number}. " + "Reads, writes or runs something. " * 20,
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    }
    for number in range(40)
]
_RESULT = "    return a line of a file that the agent has read\n" * 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Sizes of what was sent and stored.

    Attributes:
        sent_bytes: All request bodies.
        new_bytes: What was new in requests and answers.
        constant_bytes: Instructions and tools, once.
        stored_bytes: All files of the service afterwards.
        slowest_seconds: The longest request.
    """

    requests: int
    sent_bytes: int
    new_bytes: int
    constant_bytes: int
    stored_bytes: int
    slowest_seconds: float


def session(data_dir: Path, requests: int) -> Session:
    """Run a session against a service of its own in `data_dir`, whose demo model calls a tool for each question."""
    messages: list[dict[str, Any]] = []
    sent = new = 0
    slowest = 0.0
    with running_service(data_dir) as service, service.client() as client:
        for number in range(requests):
            added = {"role": "user", "content": _next_content(messages, number)}
            messages.append(added)
            body = _body(messages)
            started = time.perf_counter()
            content = _ask(client, body)
            slowest = max(slowest, time.perf_counter() - started)
            messages.append({"role": "assistant", "content": content})
            sent += len(body)
            new += len(orjson.dumps(added)) + len(orjson.dumps(content))
    return Session(
        requests=requests,
        sent_bytes=sent,
        new_bytes=new,
        constant_bytes=len(_INSTRUCTIONS) + len(orjson.dumps(_TOOLS)),
        stored_bytes=sum(f.stat().st_size for f in data_dir.rglob("*") if f.is_file()),
        slowest_seconds=slowest,
    )


def _next_content(messages: list[dict[str, Any]], number: int) -> str | list[dict[str, Any]]:
    """Return the results of the calls in the last answer; without any, a question."""
    uses = [
        block
        for block in (messages[-1]["content"] if messages else ())
        if block["type"] == "tool_use"
    ]
    if not uses:
        return f"What does file {number} do?"
    return [
        {"type": "tool_result", "tool_use_id": use["id"], "content": f"{number}\n{_RESULT}"}
        for use in uses
    ]


def _body(messages: list[dict[str, Any]]) -> bytes:
    return orjson.dumps(
        {
            "model": "demo",
            "max_tokens": 32_000,
            "system": [{"type": "text", "text": _INSTRUCTIONS}],
            "tools": _TOOLS,
            "messages": messages,
        }
    )


def _ask(client: httpx2.Client, body: bytes) -> list[dict[str, Any]]:
    headers = {"Content-Type": "application/json", "X-Conversation-Id": CONVERSATION}
    response = client.post("/v1/messages", content=body, headers=headers)
    response.raise_for_status()
    return list(response.json()["content"])


def main() -> None:
    """Run one session and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        done = session(Path(folder) / "data", requests)
    for name, size in (
        ("sent", done.sent_bytes),
        ("new", done.new_bytes),
        ("instructions and tools", done.constant_bytes),
        ("stored", done.stored_bytes),
    ):
        print(f"{name}: {size / _KIB:,.0f} KiB")
    print(f"slowest request: {done.slowest_seconds:.2f} s")


if __name__ == "__main__":
    main()
