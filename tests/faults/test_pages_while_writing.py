"""A walk over 50 000 interactions, while 50 a second are added: each is seen once, none is passed over, by every filter."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from bench.harness.load import quantile
from domain.entities.interaction import Interaction, Status, asked_at
from domain.entities.prompt import Prompt
from infra.clock import SystemClock
from infra.history.mongo.store import open_mongo
from infra.history.sqlite.store import open_sqlite
from tests.fakes.interactions import an_id, an_interaction
from tests.faults.ledger_load import a_session
from tests.support.mongod import shared_mongo_uri
from tests.support.service import running_service

ROWS = 50_000
ADDED_PER_SECOND = 50.0
AT_ONCE = 1000
PAGE = 100
LOOKS = 100
HOUR_MILLISECONDS = 3_600_000
STATUSES = {1: Status.TRUNCATED, 2: Status.FAILED}
Matches = Callable[[dict[str, Any]], bool]
FILTERS: dict[str, tuple[dict[str, Any], Matches]] = {
    "none": ({}, lambda one: one["status"] != "failed"),
    "model": ({"model": "demo"}, lambda one: one["model"] == "demo" and one["status"] != "failed"),
    "provider": (
        {"provider": "demo"},
        lambda one: one["provider"] == "demo" and one["status"] != "failed",
    ),
    "conversation": (
        {"conversationId": "c-3"},
        lambda one: one["conversationId"] == "c-3" and one["status"] != "failed",
    ),
    "status": (
        {"status": ["failed", "completed"]},
        lambda one: one["status"] in ("failed", "completed"),
    ),
    "words": ({"q": "RED"}, lambda one: one["red"] and one["status"] != "failed"),
}
"""By what is left out: the query, and whether it should find an interaction. The range of time is added by the test."""


def of_number(number: int, before_milliseconds: int) -> Interaction:
    return an_interaction(
        number,
        id=an_id(number, milliseconds=before_milliseconds),
        prompt=Prompt.from_text(f"question {number}, {'red' if number % 5 == 0 else 'blue'}"),
        model="demo" if number % 2 else "other",
        provider="demo" if number % 3 else "another",
        conversation_id=f"c-{number % 50}",
        status=STATUSES.get(number % 20, Status.COMPLETED),
    )


def seen_as(one: Interaction) -> dict[str, Any]:
    """What the filters look at."""
    return {
        "id": one.id,
        "model": one.model,
        "provider": one.provider,
        "conversationId": one.conversation_id,
        "status": str(one.status),
        "red": "red" in one.prompt.text,
    }


class Adding:
    """Asks chats at an even rate; `acknowledged` holds what was answered."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.acknowledged: list[dict[str, Any]] = []
        self.failures: list[int] = []
        self.is_over = False
        self._session = session
        self._url = url

    async def run(self) -> None:
        """Ask until it is over; return once all is answered."""
        async with asyncio.TaskGroup() as asking:
            started = time.monotonic()
            for number in count():
                if self.is_over:
                    return
                await asyncio.sleep(started + number / ADDED_PER_SECOND - time.monotonic())
                asking.create_task(self._ask(number))

    async def _ask(self, number: int) -> None:
        is_red = number % 2 == 0
        body = {"userId": "ana", "userPrompt": f"new {number}, {'red' if is_red else 'blue'}"}
        if number % 20 == 0:
            body["conversationId"] = "c-3"
        async with self._session.post(f"{self._url}/v1/chat", json=body) as response:
            answer = orjson.loads(await response.read())
            if response.status != 200:
                self.failures.append(response.status)
                return
        self.acknowledged.append({**answer, "red": is_red})


@asynccontextmanager
async def filled(
    store: str, folder: Path, rows: list[Interaction]
) -> AsyncIterator[dict[str, str]]:
    """Keep the rows and yield the settings of a service that has them."""
    clock = SystemClock()
    if store == "sqlite":
        settings: dict[str, str] = {}
        opened: Any = open_sqlite(folder, clock=clock, read_seconds=60.0, min_free_disk_bytes=0)
    else:
        settings = {"MONGO_URI": shared_mongo_uri(), "MONGO_DB": f"rt_walk_{secrets.token_hex(4)}"}
        opened = open_mongo(
            settings["MONGO_URI"], database=settings["MONGO_DB"], clock=clock, read_seconds=60.0
        )
    async with opened as history:
        for first in range(0, len(rows), AT_ONCE):
            await history.append_many(rows[first : first + AT_ONCE])
    yield settings


@pytest.mark.faults
@pytest.mark.parametrize("store", ["sqlite", "mongodb"])
async def test_each_is_seen_once_while_others_are_added(
    store: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    past = round(time.time() * 1000) - HOUR_MILLISECONDS
    rows = [of_number(number, past) for number in range(ROWS)]
    there = [seen_as(row) for row in rows]
    async with filled(store, tmp_path / "data", rows) as settings, a_session() as session:
        with running_service(tmp_path / "data", settings) as service:
            page_url = f"{service.url}/v1/history/ana"
            adding = Adding(session, service.url)
            task = asyncio.create_task(adding.run())
            async with asyncio.timeout(30):
                while not adding.acknowledged:
                    await asyncio.sleep(0.01)
            strangers: dict[str, set[str]] = {name: set() for name in FILTERS}
            for order in ("desc", "asc"):
                for name, (query, matches) in FILTERS.items():
                    known = {one["id"] for one in [*there, *adding.acknowledged] if matches(one)}
                    seen = await walked(session, page_url, {**query, "order": order})
                    look_at(f"{store} {name} {order}", seen, order, known)
                    strangers[name] |= set(seen) - known
                bounds = {"from": there[5_000]["id"], "to": there[30_000]["id"]}
                times = {key: as_time(value) for key, value in bounds.items()}
                seen = await walked(session, page_url, {**times, "order": order})
                known = {one["id"] for one in there[5_000:30_000] if one["status"] != "failed"}
                assert (set(seen), len(seen)) == (known, len(known))
            figure(f"{store}: {await pages_at_both_ends(session, page_url)}")
            adding.is_over = True
            await task
            assert adding.failures == []
            for name, (_, matches) in FILTERS.items():
                added = {one["id"] for one in adding.acknowledged if matches(one)}
                assert strangers[name] <= added, f"{store} {name}: found what does not match"
            figure(f"{store}: {len(adding.acknowledged)} were added meanwhile")


def look_at(what: str, seen: list[str], order: str, known: set[str]) -> None:
    """Compare a walk with what was there when it began."""
    assert len(seen) == len(set(seen)), f"{what}: seen twice"
    assert not known - set(seen), f"{what}: passed over"
    assert seen == sorted(seen, reverse=order == "desc"), f"{what}: out of order"


async def walked(session: aiohttp.ClientSession, url: str, query: dict[str, Any]) -> list[str]:
    """The ids of all pages, in the order in which they came."""
    seen: list[str] = []
    cursor = None
    while True:
        page, _ = await get(session, url, {**query, "limit": PAGE}, cursor)
        seen += [one["id"] for one in page["history"]]
        cursor = page["nextCursor"]
        if cursor is None:
            return seen


async def get(
    session: aiohttp.ClientSession, url: str, query: dict[str, Any], cursor: str | None
) -> tuple[Any, float]:
    """One page, and how many seconds it took."""
    parameters = query if cursor is None else {**query, "cursor": cursor}
    started = time.perf_counter()
    async with session.get(url, params=parameters) as response:
        body = await response.read()
        assert response.status == 200, body
    return orjson.loads(body), time.perf_counter() - started


async def pages_at_both_ends(session: aiohttp.ClientSession, url: str) -> str:
    """How long the first page takes, and the last one, while others are added."""
    cursor, last = None, None
    while True:
        page, _ = await get(session, url, {"limit": PAGE}, cursor)
        if page["nextCursor"] is None:
            break
        last, cursor = cursor, page["nextCursor"]
    said = []
    for name, at in (("first", None), ("last", last)):
        taken = [(await get(session, url, {"limit": 20}, at))[1] * 1000 for _ in range(LOOKS)]
        said.append(
            f"{name} page p50 {quantile(taken, 0.5):.1f} ms, p99 {quantile(taken, 0.99):.1f} ms"
        )
    return "; ".join(said)


def as_time(interaction_id: str) -> str:
    return asked_at(interaction_id).isoformat(timespec="milliseconds").replace("+00:00", "Z")
