"""The whole service as processes of their own, between a provider and a store that a test may take away."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pymongo

from infra.selftest.exchange import Exchange
from infra.selftest.provider import FaultProvider, fault_provider
from tests.fakes.provider import models_file
from tests.faults.ledger import Ledger
from tests.faults.ledger_load import Load, a_session
from tests.faults.ledger_verifier import Verdict, compare, walked
from tests.support.mongod import Mongod, need_mongod
from tests.support.service import Service, running_service

ANSWER = "All is well."
PROVIDER_SECONDS = 0.2
PATIENT_SECONDS = 120.0
MONGO_DB = "ledger"

RecordProperty = Callable[[str, object], None]


def report_figures(figures: str, record_property: RecordProperty) -> None:
    """Add measured figures to the report and, under `pytest -s`, to the output."""
    record_property("figures", figures)
    sys.stdout.write(f"{figures}\n")


class LedgerScenario:
    """A provider, a store or none, and one service process at a time, all with the same data."""

    def __init__(
        self, folder: Path, provider: FaultProvider, mongod: Mongod | None, settings: dict[str, str]
    ) -> None:
        self.provider = provider
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.settings = settings
        self.data_dir = folder / "data"
        self._mongod = mongod
        self._running: AbstractContextManager[Service] | None = None
        self._service: Service | None = None

    @property
    def mongod(self) -> Mongod:
        assert self._mongod is not None
        return self._mongod

    @property
    def service(self) -> Service:
        assert self._service is not None
        return self._service

    async def start(self, data_dir: Path | None = None, **how: Any) -> None:
        """Start the service, as `running_service` can be told to, and return once it listens."""
        starting = running_service(data_dir or self.data_dir, self.settings, **how)
        self._service = await asyncio.to_thread(starting.__enter__)
        self._running = starting

    async def end(self) -> None:
        """Stop the service, if it runs, and let go of it."""
        if self._running is not None:
            await asyncio.to_thread(self._running.__exit__, None, None, None)
            self._running = None

    async def kill(self) -> None:
        """SIGKILL, and nothing else; a service that has ended already is left alone."""
        if self._running is not None:
            await asyncio.to_thread(self.service.kill)
            await self.end()

    def load(self, *, per_second: float) -> Load:
        """Return clients of the service that runs now, to be entered."""
        return Load(self.service.url, self.ledger, per_second=per_second)

    def prompts_asked(self) -> list[str]:
        """Return what the provider was asked, from its own log."""
        return [call.body["contents"][-1]["parts"][0]["text"] for call in self.provider.calls]

    async def metric(self, name: str, service: Service | None = None) -> float:
        """Return one unlabelled figure of /metrics: of this service, or of another."""
        url = (service or self.service).url
        async with a_session() as session, session.get(f"{url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return the status and the document with which a GET is answered."""
        async with a_session() as session, session.get(self.service.url + path) as response:
            return response.status, orjson.loads(await response.read())

    async def is_ready(self) -> bool:
        """Return whether a balancer would send it requests."""
        return (await self.get("/health/ready"))[0] == 200

    async def caught_up(self, since_seconds: float) -> float:
        """Wait until the store has all that was accepted before this monotonic time; return the seconds since then."""

        async def is_caught_up() -> bool:
            lag_seconds = await self.metric("rt_outbox_lag_seconds")
            return lag_seconds < time.monotonic() - since_seconds

        await until(is_caught_up)
        return time.monotonic() - since_seconds

    async def verify(self) -> Verdict:
        """Compare the ledger with everything else, once the store has all of it."""
        if self._mongod is None:
            return self._compare(await walked(self.service.url), [])

        async def is_delivered() -> bool:
            return await self.metric("rt_outbox_rows") == 0

        await until(is_delivered)
        history = await walked(self.service.url)
        with pymongo.MongoClient[dict[str, object]](self.mongod.uri) as client:
            stored = set(client[MONGO_DB]["interactions"].distinct("_id"))
        return self._compare(
            [item for item in history if item["id"] in stored],
            [item["id"] for item in history if item["id"] not in stored],
        )

    def _compare(self, history: list[dict[str, Any]], set_aside: list[str]) -> Verdict:
        return compare(self.ledger.read(), history, self.prompts_asked(), set_aside)


@asynccontextmanager
async def ledger_scenario(
    folder: Path,
    *,
    has_store: bool = True,
    provider_seconds: float = PROVIDER_SECONDS,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[LedgerScenario]:
    """Start the provider and the store; the service is not started yet.

    Args:
        has_store: Whether history goes to a MongoDB behind an outbox; else to the embedded store.
        provider_seconds: How long the provider thinks.
        settings: More for the service.
    """
    mongod = None
    if has_store:
        need_mongod()
        mongod = Mongod(folder / "mongod")
        await asyncio.to_thread(mongod.start)
    async with fault_provider() as provider:
        provider.override["healthy"] = _thinking(provider_seconds)
        of_store = {} if mongod is None else {"MONGO_URI": mongod.uri, "MONGO_DB": MONGO_DB}
        given = {
            "MODELS_FILE": str(models_file(folder / "models.toml", provider, ["healthy"])),
            "GEM_KEY": "k",
            "PRICE_LOOKUP_ENABLED": "false",
            **of_store,
            **(settings or {}),
        }
        scenario = LedgerScenario(folder, provider, mongod, given)
        try:
            yield scenario
        finally:
            await scenario.kill()
            if mongod is not None:
                await asyncio.to_thread(mongod.kill)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = PATIENT_SECONDS) -> float:
    """Poll until the condition holds; return the seconds this took."""
    started = time.monotonic()
    while True:
        try:
            if await holds():
                return time.monotonic() - started
        except aiohttp.ClientConnectionError:
            pass  # just being started
        assert time.monotonic() < started + seconds, "it did not come to that"
        await asyncio.sleep(0.05)


def _thinking(seconds: float) -> Callable[[Exchange], Awaitable[None]]:
    async def answer(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await exchange.answer(ANSWER)

    return answer
