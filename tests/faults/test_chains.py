"""Chains of responses over three processes that are killed, the provider changing each turn: no turn is lost or repeated."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ledger_scenario import RecordProperty, report_figures
from tests.support.aws_emulator import shared_emulator
from tests.support.chains import Chains, Ledger, checking_providers, walk_ids
from tests.support.cloud_path import until
from tests.support.data_stack import deploy_data_stack
from tests.support.mongod import Mongod, need_mongod
from tests.support.service import Service, running_service

PROCESSES = 3
PATIENT_SECONDS = 1800.0
ENDED_WHILE_PAUSED = 5
"""Requests that end between the pause of the store and a kill; what they are answered is in the outboxes only."""


@dataclass
class Host:
    """Processes of one host.

    Attributes:
        services: The processes that run.
        mongod: Their store, if it is MongoDB.
    """

    data_dir: Path
    settings: dict[str, str]
    stack: AsyncExitStack
    mongod: Mongod | None = None
    services: list[Service] = field(default_factory=list)

    async def start(self) -> Service:
        """Start another process."""
        running = running_service(self.data_dir, self.settings)
        service = await asyncio.to_thread(running.__enter__)
        self.stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
        return service

    async def replace(self, number: int, go_on: Callable[[int], Awaitable[None]]) -> None:
        """Kill a process, with turns that the store does not have yet where there are outboxes, and start another.

        Args:
            number: Of the process.
            go_on: Waits for so many more requests that ended.
        """
        with self._paused():
            if self.mongod is not None:
                await go_on(ENDED_WHILE_PAUSED)
            await asyncio.to_thread(self.services[number].kill)
        self.services[number] = await self.start()

    def _paused(self) -> Any:
        return nullcontext() if self.mongod is None else _Paused(self.mongod)


@dataclass
class _Paused:
    mongod: Mongod

    def __enter__(self) -> None:
        self.mongod.pause()

    def __exit__(self, *_: object) -> None:
        self.mongod.resume()


@asynccontextmanager
async def on_mongodb(folder: Path) -> AsyncIterator[tuple[dict[str, str], Mongod | None]]:
    need_mongod()
    mongod = Mongod(folder / "mongod")
    await asyncio.to_thread(mongod.start)
    try:
        yield {"MONGO_URI": mongod.uri, "HISTORY_HOSTS": "one"}, mongod
    finally:
        await asyncio.to_thread(mongod.kill)


@asynccontextmanager
async def on_dynamodb(_folder: Path) -> AsyncIterator[tuple[dict[str, str], Mongod | None]]:
    settings = deploy_data_stack(shared_emulator()).settings
    settings = {name: value for name, value in settings.items() if not name.startswith("SQS")}
    yield {**settings, "OUTBOX_ENABLED": "false", "HISTORY_READ_SECONDS": "30"}, None


@pytest.mark.parametrize("store", [on_mongodb, on_dynamodb])
@pytest.mark.parametrize(
    ("chains", "turns", "kills"),
    [(8, 25, 2), pytest.param(64, 157, 20, marks=pytest.mark.faults)],
)
async def test_every_turn_sees_every_turn_before_it(
    tmp_path: Path,
    store: Callable[[Path], Any],
    chains: int,
    turns: int,
    kills: int,
    record_property: RecordProperty,
) -> None:
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        settings, mongod = await stack.enter_async_context(store(tmp_path))
        settings |= stack.enter_context(checking_providers(ledger, tmp_path))
        host = Host(tmp_path / "data", settings, stack, mongod)
        host.services += [await host.start() for _ in range(PROCESSES)]
        asking = asyncio.create_task(Chains(host.services, ledger).ask(chains=chains, turns=turns))

        async def go_on(more: int) -> None:
            enough = ledger.ended + more
            async with asyncio.timeout(PATIENT_SECONDS):
                while ledger.ended < enough and not asking.done():
                    await asyncio.sleep(0.02)
            if asking.done():
                await asking  # raises what ended it
                raise AssertionError("all was answered before the last kill")

        for kill in range(kills):
            await go_on(chains * turns // (kills + 2))
            await host.replace(kill % PROCESSES, go_on)
        await asking
        missing, twice = await asyncio.to_thread(compare, host.services[0], ledger)
    report_figures(
        f"{ledger.answered} turns of {chains} chains over {PROCESSES} processes with {store.__name__}, {kills} kills: "
        f"{len(ledger.not_found)} not found, {len(ledger.wrong)} of {ledger.asked} contexts wrong, "
        f"{len(missing)} missing and {len(twice)} twice in history; "
        f"{ledger.cut} connections cut, refusals {ledger.refused}",
        record_property,
    )
    assert ledger.answered == chains * turns
    assert ledger.not_found == []
    assert ledger.wrong == []
    assert (missing, twice) == (set(), set())


def compare(service: Service, ledger: Ledger) -> tuple[set[str], set[str]]:
    """Return the answered turns that history lacks once all is delivered, and the interactions it has twice."""
    with service.client() as client:
        missing: set[str] = set()
        twice: set[str] = set()

        def is_whole() -> bool:
            missing.clear()
            for user, found in walk_ids(client, list(ledger.ids)):
                missing.update(set(ledger.ids[user]) - set(found))
                twice.update(one for one in found if found.count(one) > 1)
            return not missing

        try:
            until(is_whole)
        except AssertionError:
            return missing, twice
        return missing, twice
