"""A disk that fills up under load: refused before a provider is called, nothing lost, and healed once there is room.

Realtime: a longest time of recovery, and a number of answers in flight that follows from rate and duration.
"""

import asyncio
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.ledger import Entry
from tests.faults.ledger_scenario import (
    PROVIDER_SECONDS,
    LedgerScenario,
    RecordProperty,
    ledger_scenario,
    report_figures,
    until,
)
from tests.support.service import ROOT

pytestmark = pytest.mark.realtime

PER_SECOND = 50
MOST_IN_FLIGHT = int(PER_SECOND * PROVIDER_SECONDS * 5)
"""Five times what is under way on average: who was asked before the disk was full, on a busy machine."""

SETTINGS = {"MIN_FREE_DISK_BYTES": str(1024 * 1024)}
KNOWN_PROBLEMS = {"", "history-unavailable", "history-not-durable"}
FULL_SECONDS = 1.0
LONGEST_RECOVERY_SECONDS = 5.0
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of 8 MB can only be mounted by root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.faults
@pytest.mark.parametrize("has_store", [False, True])
async def test_a_disk_without_room(
    tmp_path: Path,
    small_disk: Path,
    has_store: bool,
    record_property: RecordProperty,
) -> None:
    filler = small_disk / "filler"
    async with ledger_scenario(tmp_path, has_store=has_store, settings=SETTINGS) as scenario:
        await scenario.start(small_disk / "data")
        figures = await _fill_and_free(scenario, lambda: _fill(filler), filler.unlink)
    report_figures(f"8 MB disk, {figures}", record_property)


@pytest.mark.parametrize("has_store", [False, pytest.param(True, marks=pytest.mark.faults)])
async def test_files_that_may_not_grow(
    tmp_path: Path, has_store: bool, record_property: RecordProperty
) -> None:
    async with ledger_scenario(tmp_path, has_store=has_store, settings=SETTINGS) as scenario:
        await scenario.start()
        pid = scenario.service.process.pid
        figures = await _fill_and_free(
            scenario,
            lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, UNLIMITED[1])),
            lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED),
        )
    report_figures(f"RLIMIT_FSIZE, {figures}", record_property)


@pytest.mark.parametrize("has_store", [False, pytest.param(True, marks=pytest.mark.faults)])
async def test_a_disk_that_refuses_some_writes(
    tmp_path: Path, has_store: bool, record_property: RecordProperty
) -> None:
    """What a commit wrote before the write that failed must not come to light, and what was told as kept must."""
    switch = tmp_path / "switch"
    odd = {"ODD_SWITCH": str(switch), "ODD_FULL_EVERY": "5", "PYTHONPATH": str(ROOT)}
    async with ledger_scenario(tmp_path, has_store=has_store, settings=SETTINGS | odd) as scenario:
        await scenario.start(program=("-m", "tests.faults.odd_host"))
        async with scenario.load(per_second=PER_SECOND):
            await asyncio.sleep(1.0)
            switch.touch()
            await asyncio.sleep(4.0)
            switch.unlink()
            freed_seconds = time.monotonic()
            await until(scenario.is_ready)
            await asyncio.sleep(1.0)
        verdict = await scenario.verify()
    entries = scenario.ledger.read()
    refused = [entry for entry in entries if entry.problem == "history-unavailable"]
    in_vain = [entry for entry in entries if entry.problem == "history-not-durable"]
    recovered = _recovered(entries, freed_seconds)
    report_figures(
        f"every 5th write fails: {len(refused)} refused before asking, {len(in_vain)} answers in flight not kept; "
        f"accepting again after {recovered:.1f} s; {verdict}",
        record_property,
    )
    assert not verdict.faults
    assert in_vain
    assert {entry.problem for entry in entries} <= KNOWN_PROBLEMS
    assert recovered < LONGEST_RECOVERY_SECONDS


async def _fill_and_free(
    scenario: LedgerScenario, fill: Callable[[], object], free: Callable[[], object]
) -> str:
    async with scenario.load(per_second=PER_SECOND):
        await asyncio.sleep(1.0)
        fill()

        async def is_full() -> bool:
            return not await scenario.is_ready()

        await until(is_full)
        full_seconds = time.monotonic()
        assert (await scenario.get("/v1/history/client-0"))[0] == 200  # reading goes on
        await asyncio.sleep(FULL_SECONDS)
        freed_seconds = time.monotonic()
        free()
        await until(scenario.is_ready)
        await asyncio.sleep(0.5)
    verdict = await scenario.verify()
    entries = scenario.ledger.read()
    calls = sum(full_seconds < call.at_seconds < freed_seconds for call in scenario.provider.calls)
    refused = [entry for entry in entries if entry.problem == "history-unavailable"]
    in_vain = [entry for entry in entries if entry.problem == "history-not-durable"]
    recovered = _recovered(entries, freed_seconds)
    assert not verdict.faults
    assert refused
    assert {entry.problem for entry in entries} <= KNOWN_PROBLEMS
    assert len(in_vain) <= MOST_IN_FLIGHT
    assert recovered < LONGEST_RECOVERY_SECONDS
    return (
        f"{len(refused)} refused before asking, {calls} calls while it was full, {len(in_vain)} answers in flight "
        f"not kept; accepting again after {recovered:.1f} s; {verdict}"
    )


def _recovered(entries: list[Entry], freed_seconds: float) -> float:
    """Return how long after there was room again the first one asked since was answered and kept."""
    return min(
        entry.sent_seconds + entry.seconds - freed_seconds
        for entry in entries
        if entry.is_acknowledged and entry.sent_seconds > freed_seconds
    )


def _fill(filler: Path) -> None:
    """Leave not one byte."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass
