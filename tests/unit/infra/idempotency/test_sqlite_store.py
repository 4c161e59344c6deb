"""What only the file of claims promises: when it is made, who reads it, how it heals."""

import asyncio
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord
from domain.exceptions import IdempotencyUnavailable
from infra.clock import SystemClock
from infra.idempotency.sqlite import store as sqlite
from infra.idempotency.sqlite.records import SWEEP_SECONDS
from infra.idempotency.sqlite.store import (
    IDEMPOTENCY_FILE,
    SqliteIdempotency,
    open_sqlite_idempotency,
)
from tests.fakes.clock import FakeClock
from tests.fakes.interactions import an_id

KEY = IdempotencyKey(principal="key:1", user_id="ana", route="/v1/chat", key="k")


def a_claim(number: int, *, expires_milliseconds: int = 1 << 50) -> IdempotencyRecord:
    return IdempotencyRecord(
        fingerprint="0" * 64,
        interaction_id=f"interaction-{number}",
        lease_until_milliseconds=1,
        expires_milliseconds=expires_milliseconds,
    )


async def test_there_is_no_file_and_no_thread_before_the_first_key(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with open_sqlite_idempotency(folder, SystemClock()) as store:
        await store.forget_user("ana", an_id(9))
        assert not folder.exists()
        await store.claim(KEY, a_claim(1), now_milliseconds=0)
        assert stat.S_IMODE((folder / IDEMPOTENCY_FILE).stat().st_mode) == 0o600


async def test_neither_the_key_nor_the_caller_is_in_the_file(tmp_path: Path) -> None:
    secretive = IdempotencyKey(
        principal="key:canary", user_id="ana", route="/v1/chat", key="my-canary"
    )
    async with open_sqlite_idempotency(tmp_path, SystemClock()) as store:
        await store.claim(secretive, a_claim(1), now_milliseconds=0)
    assert b"canary" not in (tmp_path / IDEMPOTENCY_FILE).read_bytes()


async def test_a_claim_survives_the_end_of_the_process(tmp_path: Path) -> None:
    for expected in (None, a_claim(1)):
        async with open_sqlite_idempotency(tmp_path, SystemClock()) as store:
            assert await store.claim(KEY, a_claim(1), now_milliseconds=0) == expected


async def test_a_file_that_cannot_be_used_is_said_so_and_heals(tmp_path: Path) -> None:
    in_the_way = tmp_path / "data"
    in_the_way.write_text("not a folder")
    async with open_sqlite_idempotency(in_the_way, SystemClock()) as store:
        for _ in range(2):
            with pytest.raises(IdempotencyUnavailable):
                await store.claim(KEY, a_claim(1), now_milliseconds=0)
        in_the_way.unlink()
        assert await store.claim(KEY, a_claim(1), now_milliseconds=0) is None


async def test_a_damaged_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / IDEMPOTENCY_FILE).write_bytes(b"not a database" * 100)
    async with open_sqlite_idempotency(tmp_path, SystemClock()) as store:
        with pytest.raises(IdempotencyUnavailable):
            await store.claim(KEY, a_claim(1), now_milliseconds=0)


async def test_a_file_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / IDEMPOTENCY_FILE))
    connection.pragma("user_version", 99)
    connection.close()
    async with open_sqlite_idempotency(tmp_path, SystemClock()) as store:
        with pytest.raises(IdempotencyUnavailable):
            await store.claim(KEY, a_claim(1), now_milliseconds=0)


async def test_what_came_too_late_to_be_told_is_done_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_sqlite_idempotency(tmp_path, SystemClock()) as store:
        await store.forget_interaction("ana", "interaction-0")
        await store.claim(KEY, a_claim(0), now_milliseconds=0)
        await store.release(KEY, a_claim(0))
        other = apsw.Connection(str(tmp_path / IDEMPOTENCY_FILE))
        other.execute("BEGIN IMMEDIATE")
        with monkeypatch.context() as patched:
            patched.setattr(sqlite, "WAIT_SECONDS", 0.05)
            for call in (
                store.claim(KEY, a_claim(1), now_milliseconds=0),
                store.release(KEY, a_claim(1)),
            ):
                with pytest.raises(IdempotencyUnavailable):
                    await call
        other.execute("ROLLBACK")
        other.close()
        assert await store.claim(KEY, a_claim(2), now_milliseconds=0) is None


async def test_what_has_expired_is_swept_away(tmp_path: Path) -> None:
    clock = FakeClock()
    store = SqliteIdempotency(tmp_path / IDEMPOTENCY_FILE, clock)
    now = clock.now_milliseconds()
    for number in range(10):
        key = IdempotencyKey(principal="p", user_id="ana", route="r", key=str(number))
        expires = now + (1000 if number < 9 else 10_000_000)
        await store.claim(key, a_claim(number, expires_milliseconds=expires), now_milliseconds=now)
    clock.advance(SWEEP_SECONDS)
    await store.release(KEY, a_claim(0))
    await store.close()
    connection = apsw.Connection(str(tmp_path / IDEMPOTENCY_FILE))
    assert connection.execute("SELECT count(*) FROM claim").get == 1
    connection.close()


CLAIMING = """
import asyncio, sys, time
from pathlib import Path
from domain.entities.idempotency import IdempotencyRecord, IdempotencyKey
from infra.clock import SystemClock
from infra.idempotency.sqlite.store import open_sqlite_idempotency

async def main():
    won = 0
    async with open_sqlite_idempotency(Path(sys.argv[1]), SystemClock()) as store:
        for number in range(50):
            key = IdempotencyKey(principal="p", user_id="ana", route="r", key=str(number))
            claim = IdempotencyRecord(fingerprint="f", interaction_id=f"{sys.argv[2]}-{number}",
                          lease_until_milliseconds=1, expires_milliseconds=1 << 50)
            won += await store.claim(key, claim, now_milliseconds=0) is None
    print(won)
asyncio.run(main())
"""


async def test_of_many_processes_one_gets_each_key(tmp_path: Path) -> None:
    def started(number: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", CLAIMING, str(tmp_path / "data"), str(number)]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    processes = [started(number) for number in range(4)]
    outputs = [await asyncio.to_thread(process.communicate) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sum(int(output) for output, _ in outputs) == 50
