"""A million interactions of one user leave as a file, through real HTTP, in the memory the service has anyway."""

import asyncio
import time
from pathlib import Path

import pytest

from domain.entities.prompt import Prompt
from infra.clock import SystemClock
from infra.history.sqlite.store import open_sqlite
from tests.fakes.interactions import an_interaction
from tests.support.service import Service, running_service

INTERACTIONS = 1_000_000
SETTLED_AFTER = 20_000
ALLOWED_GROWTH_BYTES = 16 * 1024 * 1024
READ_SECONDS = 60.0


async def keep(data_dir: Path, count: int) -> None:
    async with open_sqlite(
        data_dir, clock=SystemClock(), read_seconds=READ_SECONDS, min_free_disk_bytes=0
    ) as history:
        for start in range(0, count, 1000):
            await history.append_many(
                [
                    an_interaction(
                        n, prompt=Prompt.from_text(f"question {n}"), text="an answer " * 10
                    )
                    for n in range(start, min(start + 1000, count))
                ]
            )


def resident_bytes(service: Service) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.mark.faults
@pytest.mark.parametrize("file", ["jsonl", "csv"])
def test_memory_stays_what_it_is(file: str, million: Path) -> None:
    with running_service(million) as service, service.client() as client:
        lines, settled, most = 0, 0, 0
        started = time.monotonic()
        with client.stream("GET", f"/v1/history/ana/export?format={file}") as response:
            assert response.status_code == 200
            for chunk in response.iter_raw():
                before, lines = lines, lines + chunk.count(b"\n")
                if before < SETTLED_AFTER <= lines:
                    settled = resident_bytes(service)
                if lines // 10_000 > before // 10_000:
                    most = max(most, resident_bytes(service))
        seconds = time.monotonic() - started
        print(  # noqa: T201 - the figures
            f"\n{file}: {lines} lines in {seconds:.0f} s; memory {settled >> 20} MiB after"
            f" {SETTLED_AFTER}, at most {most >> 20} MiB"
        )
        assert lines == INTERACTIONS + (file == "csv")
        assert most - settled <= ALLOWED_GROWTH_BYTES


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("million") / "data"
    asyncio.run(keep(data_dir, INTERACTIONS))
    return data_dir
