"""Keys: made, kept as hashes, checked from memory, expired, revoked, and lost sight of."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.entities.api_key import ApiKey
from domain.entities.caller import Scope
from domain.exceptions import AuthUnavailable, Unauthenticated
from infra.configuration import ConfigurationError
from infra.security.api_keys.cache import LOOK_SECONDS, ApiKeyCache, open_api_key_cache
from infra.security.api_keys.file import KEYS_FILE
from infra.security.api_keys.key_format import digest_of, key_id_of, new_key
from infra.security.api_keys.lines import BadKeyLine, line_of, parse_lines
from infra.security.api_keys.repository import FileApiKeyRepository
from infra.security.api_keys.source import KeyFileSource
from tests.fakes.clock import FakeClock

ALL = frozenset(Scope)
STALE_SECONDS = 900.0


class Keys:
    """An installation's keys, its service's ring, and the time both live in."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(sleeping_advances=False)
        self.folder = folder
        self.book = FileApiKeyRepository(folder, self.clock)

    def create(self, **changes: Any) -> tuple[ApiKey, bytes]:
        usual = {"name": "", "user_id": None, "scopes": ALL, "expires_milliseconds": None}
        made = self.book.create(**usual | changes)
        self.book.add(made.record)
        return made.record, made.key.encode()

    @asynccontextmanager
    async def ring(
        self, lines: Sequence[str] = (), lines_file: Path | None = None
    ) -> AsyncIterator[ApiKeyCache]:
        async with open_api_key_cache(
            self.folder,
            lines=lines,
            lines_file=lines_file,
            stale_seconds=STALE_SECONDS,
            clock=self.clock,
        ) as ring:
            yield ring


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "data")


def holds(ring: ApiKeyCache, key: bytes) -> bool:
    try:
        ring.authenticate(key)
    except Unauthenticated:
        return False
    return True


def test_a_key_names_its_id_and_no_two_are_alike() -> None:
    made = {new_key() for _ in range(1000)}
    assert len({key_id for key_id, _ in made}) == 1000
    assert len({key.rpartition("_")[2] for _, key in made}) == 1000
    for key_id, key in made:
        assert key_id_of(key.encode()) == key_id


@pytest.mark.parametrize(
    "text",
    [b"", b"rtg_", b"rtg_abc_def", b"sk-1234", b"rtg_ABCDEFGHIJKL_" + b"a" * 32, b"\xff\xfe"],
)
def test_what_does_not_look_like_a_key_has_no_id(text: bytes) -> None:
    assert key_id_of(text) is None


async def test_a_key_holds_and_tells_who_shows_it(keys: Keys) -> None:
    record, key = keys.create(user_id="ana", scopes=frozenset({Scope.CHAT_WRITE}))
    async with keys.ring() as ring:
        caller = ring.authenticate(key)
    assert (caller.user_id, caller.scopes) == ("ana", {Scope.CHAT_WRITE})
    assert caller.principal == caller.rate_limit_key == f"key:{record.id}"


async def test_every_other_key_does_not(keys: Keys) -> None:
    _, key = keys.create()
    _, other = keys.create()
    id_of_one_secret_of_the_other = key[:17] + other[17:]
    async with keys.ring() as ring:
        assert holds(ring, key)
        assert holds(ring, other)
        assert not holds(ring, id_of_one_secret_of_the_other)
        for position in range(len(key)):
            edited = bytearray(key)
            edited[position] ^= 1
            assert not holds(ring, bytes(edited))
        assert not holds(ring, new_key()[1].encode())
        assert not holds(ring, b"")


def test_nothing_that_is_kept_holds(keys: Keys) -> None:
    _, key = keys.create(name="phone")
    kept = (keys.folder / KEYS_FILE).read_bytes()
    assert key not in kept
    assert key.rpartition(b"_")[2] not in kept
    assert digest_of(key) in kept


def test_only_we_may_read_the_file(keys: Keys) -> None:
    keys.create()
    assert stat.S_IMODE((keys.folder / KEYS_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.folder.stat().st_mode) == 0o700


async def test_a_key_made_or_revoked_while_the_service_runs_is_seen_at_the_next_look(
    keys: Keys,
) -> None:
    async with keys.ring() as ring:
        record, key = keys.create()
        assert not holds(ring, key)
        await ring.refresh()
        assert holds(ring, key)
        assert keys.book.revoke(record.id)
        await ring.refresh()
        assert not holds(ring, key)
        assert keys.book.revoke(record.id)
        assert not keys.book.revoke("a" * 12)


async def test_the_service_looks_by_itself_every_second(keys: Keys) -> None:
    async with keys.ring() as ring:
        _, key = keys.create()
        while not keys.clock.slept:
            await asyncio.sleep(0)
        assert keys.clock.slept == [LOOK_SECONDS]
        keys.clock.advance(LOOK_SECONDS)
        async with asyncio.timeout(120):
            while not holds(ring, key):
                await asyncio.sleep(0.01)


async def test_two_changes_within_one_tick_of_the_file_system_are_both_seen(keys: Keys) -> None:
    async with keys.ring() as ring:
        made = []
        for _ in range(50):
            made.append(keys.create()[1])
            await ring.refresh()
            assert holds(ring, made[-1])


def test_an_unchanged_file_is_not_read_again(keys: Keys) -> None:
    source = KeyFileSource(keys.folder / KEYS_FILE, keys.clock, stale_seconds=STALE_SECONDS)
    for _ in range(2):
        keys.create()
        assert [source.reload(), source.reload()] == [True, False]


async def test_a_key_expires_on_its_own(keys: Keys) -> None:
    _, key = keys.create(expires_milliseconds=keys.clock.now_milliseconds() + 5000)
    async with keys.ring() as ring:
        keys.clock.advance(4.999)
        assert holds(ring, key)
        keys.clock.advance(0.001)
        assert not holds(ring, key)


async def test_keys_go_on_holding_for_a_while_when_the_file_cannot_be_read(keys: Keys) -> None:
    _, key = keys.create()
    file = keys.folder / KEYS_FILE
    async with keys.ring() as ring:
        whole = file.read_bytes()
        file.write_bytes(b"not a database " * 100)
        await ring.refresh()
        assert holds(ring, key)
        assert [part.component for part in ring.degraded()] == ["api keys"]
        keys.clock.advance(STALE_SECONDS)
        await ring.refresh()
        for any_key in (key, new_key()[1].encode()):
            with pytest.raises(AuthUnavailable):
                ring.authenticate(any_key)
        file.write_bytes(whole)
        await ring.refresh()
        assert holds(ring, key)
        assert not ring.degraded()


async def test_a_file_that_vanished_is_not_an_empty_one(keys: Keys) -> None:
    _, key = keys.create()
    async with keys.ring() as ring:
        (keys.folder / KEYS_FILE).rename(keys.folder / "elsewhere.db")
        await ring.refresh()
        assert holds(ring, key)
        assert ring.degraded()


async def test_a_service_that_never_could_read_its_keys_says_so(keys: Keys) -> None:
    _, key = keys.create()
    whole = (keys.folder / KEYS_FILE).read_bytes()
    (keys.folder / KEYS_FILE).write_bytes(b"x" * 200)
    async with keys.ring() as ring:
        with pytest.raises(AuthUnavailable):
            ring.authenticate(key)
        (keys.folder / KEYS_FILE).write_bytes(whole)
        await ring.refresh()
        assert holds(ring, key)


async def test_a_file_of_a_newer_program_is_left_alone(keys: Keys) -> None:
    _, key = keys.create()
    with sqlite3.connect(keys.folder / KEYS_FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="newer version"):
        keys.create()
    async with keys.ring() as ring:
        with pytest.raises(AuthUnavailable):
            ring.authenticate(key)


async def test_without_any_key_nobody_is_let_in(keys: Keys) -> None:
    async with keys.ring() as ring:
        assert not holds(ring, new_key()[1].encode())
        assert not ring.degraded()
    assert not keys.folder.exists()


async def test_keys_given_as_lines_hold(keys: Keys) -> None:
    made = keys.book.create(
        name="phone",
        user_id="ana:1|x",
        scopes=frozenset({Scope.HISTORY_READ}),
        expires_milliseconds=keys.clock.now_milliseconds() + 60_000,
    )
    key = made.key.encode()
    async with keys.ring(lines=[made.line]) as ring:
        caller = ring.authenticate(key)
        assert (caller.user_id, caller.scopes) == ("ana:1|x", {Scope.HISTORY_READ})
        keys.clock.advance(60)
        assert not holds(ring, key)


async def test_what_was_revoked_does_not_hold_by_a_line_either(keys: Keys) -> None:
    record, key = keys.create()
    keys.book.revoke(record.id)
    async with keys.ring(lines=[line_of(record)]) as ring:
        assert not holds(ring, key)


async def test_a_file_of_lines_is_read_again_when_it_changes(keys: Keys, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    first, second = (
        keys.book.create(name="", user_id=None, scopes=ALL, expires_milliseconds=None)
        for _ in range(2)
    )
    file.write_text(f"# ours\n\n{first.line}\n")
    async with keys.ring(lines_file=file) as ring:
        assert holds(ring, first.key.encode())
        file.write_text(second.line)
        await ring.refresh()
        assert not holds(ring, first.key.encode())
        assert holds(ring, second.key.encode())
        file.write_text("id=nonsense")
        await ring.refresh()
        assert holds(ring, second.key.encode())
        assert ring.degraded()


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "id=abcdefghijkl",
        f"id=abc hash={'0' * 64}",
        f"id=abcdefghijkl hash={'0' * 63}",
        f"id=abcdefghijkl hash={'0' * 64} scopes=everything",
        f"id=abcdefghijkl hash={'0' * 64} user=a/b",
        f"id=abcdefghijkl hash={'0' * 64} expires=soon",
        f"id=abcdefghijkl hash={'0' * 64} expires=2030-01-01T00:00:00",
        f"id=abcdefghijkl hash={'0' * 64} id=abcdefghijkm",
        f"id=abcdefghijkl hash={'0' * 64} rights=all",
    ],
)
async def test_a_line_that_cannot_be_read_keeps_the_service_from_starting(
    keys: Keys, tmp_path: Path, line: str
) -> None:
    with pytest.raises(BadKeyLine, match=r"^line 1: "):
        list(parse_lines([line]))
    with pytest.raises(ConfigurationError, match="API_KEYS"):
        async with keys.ring(lines=[line]):
            pass
    file = tmp_path / "keys.txt"
    file.write_text(line)
    with pytest.raises(ConfigurationError, match="API_KEYS_FILE"):
        async with keys.ring(lines_file=file):
            pass


def test_a_line_says_all_there_is_to_a_key() -> None:
    key = ApiKey(
        id="abcdefghijkl",
        digest=bytes(range(32)),
        name="phone",
        user_id="ana",
        scopes=frozenset({Scope.CHAT_WRITE, Scope.HISTORY_READ}),
        expires_milliseconds=1_800_000_000_123,
    )
    assert list(parse_lines([line_of(key)])) == [key]


CREATING = """
import sys
from pathlib import Path
from domain.entities.caller import Scope
from infra.clock import SystemClock
from infra.security.api_keys.repository import FileApiKeyRepository
book = FileApiKeyRepository(Path(sys.argv[1]), SystemClock())
for _ in range(20):
    made = book.create(name="", user_id=None, scopes=frozenset(Scope), expires_milliseconds=None)
    book.add(made.record)
"""


def test_many_processes_may_make_keys_at_once(keys: Keys) -> None:
    command = [sys.executable, "-c", CREATING, str(keys.folder)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert len(keys.book.keys()) == 80
