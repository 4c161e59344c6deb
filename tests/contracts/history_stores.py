"""Every implementation of the history ports, opened for a contract."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pymongo

from domain.interfaces.history import HistoryRepository
from infra.clock import SystemClock
from infra.history.mongo import open_mongo
from infra.history.sqlite import open_sqlite
from tests.mongod import shared_mongo_uri

MONGO_DATABASE = f"rt_genai_test_{secrets.token_hex(4)}"
READ_SECONDS = 10.0
"""Far above the product's own limit: a busy test machine is not what is tested here."""


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[HistoryRepository]:
    """The embedded store."""
    async with open_sqlite(
        folder,
        clock=SystemClock(),
        read_seconds=READ_SECONDS,
        min_free_disk_bytes=0,
        reap_seconds=0.05,
    ) as history:
        yield history


@asynccontextmanager
async def mongo(_folder: Path) -> AsyncIterator[HistoryRepository]:
    """MongoDB, in an empty database."""
    uri = shared_mongo_uri()
    async with pymongo.AsyncMongoClient[dict[str, object]](uri) as client:
        for collection in ("interactions", "erasures"):
            await client[MONGO_DATABASE][collection].delete_many({})
    async with open_mongo(uri, database=MONGO_DATABASE, read_seconds=READ_SECONDS) as history:
        yield history


STORES = {"sqlite": sqlite, "mongo": mongo}
FORGETS_WHAT_BEGAN = {"mongo"}
"""Stores that keep no start markers by themselves, and say so."""
