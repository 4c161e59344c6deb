"""Started while what it depends on is away, each and all: it is up at once, says so, and heals by itself."""

import asyncio
import secrets
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.selftest.provider import FaultProvider, fault_provider
from tests.fakes.gate import open_gate
from tests.fakes.issuer import AUDIENCE, ISSUER, Issuer, issuing, token
from tests.fakes.provider import models_file
from tests.faults.ledger_load import a_session
from tests.faults.ledger_scenario import RecordProperty, report_figures, until
from tests.support.aws_emulator import pausable_emulator
from tests.support.mongod import Mongod, need_mongod
from tests.support.service import Service, running_service, watched_worker

# The times of start and recovery have upper bounds.
pytestmark = pytest.mark.realtime

PARTS = ("mongodb", "queue", "provider", "keys")
LONGEST_START_SECONDS = 10.0
"""Of 3 s, on a busy machine."""

LONGEST_HEALING_SECONDS = 20.0
"""Of 10 s, on a busy machine."""


@pytest.mark.faults
@pytest.mark.parametrize("away", [*((part,) for part in PARTS), PARTS], ids="+".join)
async def test_it_is_up_at_once_and_heals_by_itself(
    tmp_path: Path, away: tuple[str, ...], record_property: RecordProperty
) -> None:
    need_mongod()
    mongod, issuer, keys_port = Mongod(tmp_path / "mongod"), Issuer(), _free_port()
    async with AsyncExitStack() as stack:
        queue = stack.enter_context(pausable_emulator())
        provider = await stack.enter_async_context(fault_provider())
        gate = await stack.enter_async_context(open_gate(int(provider.url.rpartition(":")[2])))
        behind_gate = cast(FaultProvider, SimpleNamespace(url=gate.url))
        stack.callback(mongod.kill)
        settings = {
            "MODELS_FILE": str(models_file(tmp_path / "models.toml", behind_gate, ["healthy"])),
            "GEM_KEY": "k",
            "PRICE_LOOKUP_ENABLED": "false",
            "MONGO_URI": mongod.uri,
            "SQS_QUEUE_URL": queue.queue_url(f"cold-{secrets.token_hex(4)}"),
            "AWS_ENDPOINT_URL": queue.url,
            "AWS_EMULATOR": "true",
            "AUTHENTICATION": "jwt",
            "JWT_ISSUER": ISSUER,
            "JWT_AUDIENCE": AUDIENCE,
            "JWKS_URL": f"http://127.0.0.1:{keys_port}/jwks",
        }
        gate.is_open = "provider" not in away
        if "queue" in away:
            queue.pause()
        if "mongodb" not in away:
            await asyncio.to_thread(mongod.start)
        if "keys" not in away:
            await stack.enter_async_context(issuing(issuer, keys_port))

        started = time.monotonic()
        service = await asyncio.to_thread(
            stack.enter_context, running_service(tmp_path / "data", settings)
        )
        started_seconds = time.monotonic() - started
        await asyncio.to_thread(stack.enter_context, watched_worker(tmp_path / "worker", settings))
        first = await _chat(service)
        ready, degraded = await _readiness(service)

        back = time.monotonic()
        gate.is_open = True
        queue.resume()
        if "mongodb" in away:
            await asyncio.to_thread(mongod.start)
            back = time.monotonic()  # it is back when it takes writes
        if "keys" in away:
            await stack.enter_async_context(issuing(issuer, keys_port))

        async def is_healed() -> bool:
            status, document = await _chat(service)
            if status != 200:
                return False
            return await _is_listed(service, document["id"])

        await until(is_healed)
        healed_seconds = time.monotonic() - back
    report_figures(
        f"started without {', '.join(away)}: up after {started_seconds:.1f} s, first chat {first[0]}, ready {ready}, "
        f"degraded {degraded}; chats are answered and listed {healed_seconds:.1f} s after it is back",
        record_property,
    )
    assert ready == 200
    assert first[0] == (503 if "keys" in away else 504 if "provider" in away else 200), first
    assert started_seconds < LONGEST_START_SECONDS
    assert healed_seconds < LONGEST_HEALING_SECONDS


async def _chat(service: Service) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token().decode()}", "X-Request-Timeout-Ms": "3000"}
    body = {"userId": "ana", "userPrompt": "hi"}
    async with (
        a_session() as session,
        session.post(f"{service.url}/v1/chat", json=body, headers=headers) as response,
    ):
        return response.status, await response.json(content_type=None)


async def _is_listed(service: Service, interaction_id: str) -> bool:
    """Return whether history shows it, waiting a little for the worker."""
    headers = {"Authorization": f"Bearer {token().decode()}"}
    url = f"{service.url}/v1/history/ana?afterId={interaction_id}&wait=2"
    async with a_session() as session, session.get(url, headers=headers) as response:
        return response.status == 200 and bool((await response.json())["complete"])


async def _readiness(service: Service) -> tuple[int, list[str]]:
    async with a_session() as session, session.get(f"{service.url}/health/ready") as response:
        document = await response.json(content_type=None)
    return response.status, [part["component"] for part in document["degraded"]]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
