"""Requests with an Idempotency-Key."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.selftest.exchange import Exchange
from infra.selftest.faults import FAULTS
from infra.selftest.provider import FaultProvider
from tests.support.problems import kept
from tests.support.service import Service, running_service

NATIVE = "/v1/chat"


OPENAI = "/v1/chat/completions"


DOORS = [NATIVE, OPENAI]


def body_of(door: str, user: str, **changes: Any) -> dict[str, Any]:
    if door == NATIVE:
        return {"userId": user, "userPrompt": "How are you?", **changes}
    return {"user": user, "messages": [{"role": "user", "content": "How are you?"}], **changes}


def send(
    client: httpx2.Client, door: str, user: str, key: str = "k", **changes: Any
) -> httpx2.Response:
    return client.post(door, json=body_of(door, user, **changes), headers={"Idempotency-Key": key})


@contextmanager
def held_up(provider: FaultProvider, model: str) -> Iterator[threading.Event]:
    """Let this model answer no sooner than the event is set."""
    go_on = threading.Event()

    async def waiting(exchange: Exchange) -> None:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        await FAULTS["healthy"](exchange)

    provider.override[model] = waiting
    try:
        yield go_on
    finally:
        go_on.set()
        del provider.override[model]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def killed_in_flight(
    settings: dict[str, str], data_dir: Path, provider: FaultProvider, *, kills: int
) -> None:
    """Kill the service while a provider is asked, again and again; each key ends in one record and one answer."""
    hasty = {
        **settings,
        "REQUEST_TIMEOUT_SECONDS": "3",
        "IDEMPOTENCY_LEASE_SECONDS": "0",
        "INTERRUPTED_GRACE_SECONDS": "0",
    }
    for kill in range(kills):
        key = f"key-{kill}"
        with running_service(data_dir, hasty) as service, held_up(provider, "healthy"):
            calls = provider.count("healthy")

            def ask(service: Service = service, key: str = key) -> None:
                with service.client() as client, pytest.raises(httpx2.TransportError):
                    send(client, NATIVE, "ana", key)

            asking = threading.Thread(target=ask)
            asking.start()
            until(lambda calls=calls: provider.count("healthy") > calls)  # type: ignore[misc]
            service.kill()
            asking.join(120)
        with running_service(data_dir, hasty) as service, service.client() as client:
            seen = []
            deadline = time.monotonic() + 120
            while (response := send(client, NATIVE, "ana", key)).status_code != 200:
                seen.append(response.status_code)
                assert time.monotonic() < deadline, seen
                time.sleep(0.1)
            assert set(seen) <= {409}
            again = send(client, NATIVE, "ana", key)
            assert again.json() == response.json()
            history = client.get("/v1/history/ana", params={"limit": 100}).json()["history"]
            assert len(history) == kill + 1
            assert len(kept(client, "ana")) == kill + 1
