"""Stores are chosen by the settings, and added by an entry in the registry."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dependency_injection import application
from domain.entities.background.answer import AnswerKey, BackgroundAnswer
from domain.interfaces.clock import Clock
from domain.interfaces.idempotency import IdempotencyStore
from infra.answers.dynamodb.store import DynamoAnswerLog
from infra.answers.mongo.store import MongoAnswerLog
from infra.answers.sqlite.store import ANSWERS_FILE, SqliteAnswerLog
from infra.attachments.disk import DiskAttachments
from infra.attachments.gridfs import GridFsAttachments
from infra.attachments.s3 import S3Attachments
from infra.clock import SystemClock
from infra.configuration import ConfigurationError
from infra.history.store.durable_store import DurableStore
from infra.settings import Settings
from infra.stores import registry
from infra.stores.answers import open_answer_log
from infra.stores.registry import configured_store, store_named, store_names
from infra.stores.store import OpenedArchive, OpenedReader, OpenedStore, Store
from tests.fakes.application import lifespan
from tests.fakes.claims import InMemoryIdempotencyStore
from tests.fakes.conversation_records import InMemoryConversationRecords
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

KEY = AnswerKey(user_id="ana", interaction_id=an_id())


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "sqlite"),
        ({"mongo_uri": "mongodb://localhost"}, "mongodb"),
        ({"dynamodb_table": "history"}, "dynamodb"),
    ],
)
def test_the_settings_select_a_store(values: dict[str, Any], name: str) -> None:
    assert configured_store(settings(**values)).name == name


def test_two_stores_at_once_are_refused_with_both_settings_named() -> None:
    with pytest.raises(ConfigurationError, match="MONGO_URI and DYNAMODB_TABLE are both set"):
        configured_store(settings(mongo_uri="mongodb://localhost", dynamodb_table="history"))


def test_names_lead_back_to_their_stores() -> None:
    assert [store_named(name).name for name in store_names()] == ["sqlite", "mongodb", "dynamodb"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, DiskAttachments),
        ({"mongo_uri": "mongodb://localhost"}, GridFsAttachments),
        ({"dynamodb_table": "history"}, type(None)),
        ({"dynamodb_table": "history", "attachments_bucket": "history-files"}, S3Attachments),
    ],
)
async def test_a_store_has_its_own_place_for_attachments(
    values: dict[str, Any], kind: type, tmp_path: Path
) -> None:
    access = {"aws_region": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "y"}
    configured = settings(data_dir=tmp_path / "data", **access, **values)
    store = configured_store(configured)
    async with store.open_attachments(configured, SystemClock()) as attachments:
        assert type(attachments) is kind
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["s3://history-files", "History", "a", "x" * 64])
async def test_what_can_be_no_bucket_is_refused(name: str) -> None:
    configured = settings(dynamodb_table="history", attachments_bucket=name, aws_region="eu-west-1")
    with pytest.raises(ConfigurationError, match="ATTACHMENTS_BUCKET"):
        async with store_named("dynamodb").open_attachments(configured, SystemClock()):
            pass


async def test_a_store_without_a_place_for_attachments_has_none() -> None:
    store = memory_store(MemoryStore(), InMemoryIdempotencyStore())
    async with store.open_attachments(settings(), SystemClock()) as attachments:
        assert attachments is None


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, SqliteAnswerLog),
        ({"outbox_enabled": False}, SqliteAnswerLog),
        ({"mongo_uri": "mongodb://localhost"}, SqliteAnswerLog),
        ({"dynamodb_table": "history"}, SqliteAnswerLog),
    ],
)
async def test_event_logs_are_on_the_disk_where_interactions_are_accepted(
    values: dict[str, Any], kind: type, tmp_path: Path
) -> None:
    configured = settings(data_dir=tmp_path / "data", answer_events_keep_seconds=60.0, **values)
    async with open_answer_log(configured, SystemClock()) as log:
        assert type(log) is kind
        assert await log.read(KEY, after=-1, limit=1) is None
        assert not (tmp_path / "data").exists()
        await log.begin(BackgroundAnswer(interaction=an_interaction()), lease_seconds=1.0)
    assert (tmp_path / "data" / ANSWERS_FILE).exists()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"mongo_uri": "mongodb://127.0.0.1:9"}, MongoAnswerLog),
        ({"dynamodb_table": "history"}, DynamoAnswerLog),
    ],
)
async def test_without_an_outbox_event_logs_are_in_the_store(
    values: dict[str, Any], kind: type, tmp_path: Path
) -> None:
    access = {"aws_region": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "y"}
    configured = settings(data_dir=tmp_path / "data", outbox_enabled=False, **access, **values)
    async with open_answer_log(configured, SystemClock()) as log:
        assert type(log) is kind
    assert list(tmp_path.iterdir()) == []


class MemoryStore(InMemoryHistory, DurableStore):
    """A store in memory in which nothing is erased behind the service's back."""

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        return frozenset()


def memory_store(history: MemoryStore, records: InMemoryIdempotencyStore) -> Store:
    """Return the entry of a store that every configuration selects."""

    @asynccontextmanager
    async def open_history(_settings: Settings, _clock: Clock) -> AsyncIterator[OpenedStore]:
        yield OpenedStore(history, degraded=tuple, records=InMemoryConversationRecords())

    @asynccontextmanager
    async def open_idempotency(
        _settings: Settings, _clock: Clock
    ) -> AsyncIterator[IdempotencyStore]:
        yield records

    @asynccontextmanager
    async def no_archive(_settings: Settings, _clock: Clock) -> AsyncIterator[OpenedArchive]:
        raise NotImplementedError
        yield

    @asynccontextmanager
    async def no_reader(_settings: Settings, _clock: Clock) -> AsyncIterator[OpenedReader]:
        raise NotImplementedError
        yield

    return Store(
        name="memory",
        setting="MEMORY",
        missing=lambda _: None,
        open=open_history,
        open_archive=no_archive,
        open_archive_reader=no_reader,
        open_idempotency=open_idempotency,
        open_answers=registry.STORES[0].open_answers,
    )


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """The history of a made-up store, registered for one test."""
    history = MemoryStore()
    entry = memory_store(history, InMemoryIdempotencyStore())
    monkeypatch.setattr(registry, "STORES", (*registry.STORES, entry))
    return history


@pytest.mark.parametrize("outbox_enabled", [False, True])
async def test_a_chat_is_kept_in_a_store_that_only_the_registry_names(
    history: MemoryStore, tmp_path: Path, outbox_enabled: bool
) -> None:
    app = application(settings(data_dir=tmp_path, outbox_enabled=outbox_enabled))
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with (
        lifespan(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        answer = await client.post(
            "/v1/chat",
            json={"userId": "ana", "userPrompt": "How are you?"},
            headers={"Idempotency-Key": "first"},
        )
        assert answer.status_code == 200, answer.text
        interaction_id = answer.json()["id"]
        found = await client.get(f"/v1/history/ana/{interaction_id}")
        assert found.json()["response"] == answer.json()["response"]
    assert set(history.kept) == {interaction_id}
    assert not (tmp_path / "history.db").exists()
    assert not (tmp_path / "idempotency.db").exists()
