"""Records of conversations in MongoDB."""

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.conversation import ConversationRecord
from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryDamaged
from domain.interfaces.conversation_records import ConversationRecords
from infra.history.format.conversation_records import json_of_record, record_in
from infra.history.format.documents import UnreadableDocument
from infra.history.mongo.tombstones import MongoTombstones
from infra.history.store.retention import Retention
from infra.storage.mongo.client import Document

T = TypeVar("T")

READ_AT_ONCE = 50

_WHOLE = {"body": 1, "createdId": 1}
_EXPIRY = IndexModel([("expiresAt", 1)], name="expiry", expireAfterSeconds=0)


class MongoCalls(Protocol):
    """Awaits calls of the driver within the store's time limits, and translates their errors."""

    async def read(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of a read; raises `HistoryUnreadable`."""
        ...

    async def written(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of a write; raises `HistoryUnavailable`."""
        ...

    async def erased(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of an erasure; raises `HistoryUnreadable`."""
        ...


class MongoConversationRecords(ConversationRecords):
    """The collection `conversations`: `_id` is `<user>/<conversation>`, and a user id holds no slash.

    The index is created with the first record.
    """

    def __init__(
        self,
        conversations: AsyncCollection[Document],
        erasures: MongoTombstones,
        calls: MongoCalls,
        retention: Retention,
    ) -> None:
        self._conversations = conversations
        self._erasures = erasures
        self._calls = calls
        self._retention = retention
        self._has_index = False

    async def get(self, user_id: str, conversation_id: str) -> ConversationRecord | None:
        wanted = {"_id": _key(user_id, conversation_id)}
        found = await self._calls.read(self._conversations.find(wanted, _WHOLE).to_list())
        living = await self._living(found)
        return _record(living[0]) if living else None

    async def put(self, record: ConversationRecord) -> None:
        document: Document = {
            "createdId": record.created_id,
            "title": record.title,
            "body": json_of_record(record).decode(),
        }
        expires_milliseconds = self._retention.expires_milliseconds(record.changed_id)
        if expires_milliseconds is not None:
            document["expiresAt"] = datetime.fromtimestamp(expires_milliseconds / 1000, UTC)
        await self._calls.written(self._put(record, document))

    async def titles(self, user_id: str, conversation_ids: Sequence[str]) -> Mapping[str, str]:
        keys = [_key(user_id, conversation_id) for conversation_id in conversation_ids]
        wanted = {"_id": {"$in": keys}, "title": {"$gt": ""}}
        finding = self._conversations.find(wanted, {"title": 1, "createdId": 1})
        living = await self._living(await self._calls.read(finding.to_list()))
        return {record["_id"].partition("/")[2]: record["title"] for record in living}

    async def erase(self, user_id: str, conversation_id: str) -> None:
        await self._calls.erased(
            self._conversations.delete_one({"_id": _key(user_id, conversation_id)})
        )

    async def erase_all(self, user_id: str, until_id: str) -> None:
        await self._calls.erased(
            self._conversations.delete_many(
                {"_id": _keys_of(user_id), "createdId": {"$lt": first_id_after(until_id)}}
            )
        )

    async def all(self, *, user_id: str | None = None) -> AsyncIterator[ConversationRecord]:
        keys = {"$gt": ""} if user_id is None else _keys_of(user_id)
        while True:
            finding = self._conversations.find({"_id": keys}, _WHOLE).sort("_id", 1)
            page = await self._calls.read(finding.limit(READ_AT_ONCE).to_list())
            for found in await self._living(page):
                yield _record(found)
            if len(page) < READ_AT_ONCE:
                return
            keys = {**keys, "$gt": page[-1]["_id"]}

    async def _put(self, record: ConversationRecord, document: Document) -> None:
        if not self._has_index:
            await self._conversations.create_indexes([_EXPIRY])
            self._has_index = True
        key = {"_id": _key(record.user_id, record.conversation_id)}
        await self._conversations.replace_one(key, document, upsert=True)
        # Read after the write, so that an erasure wins in either order.
        first_living_ids = await self._erasures.first_living_ids([record.user_id])
        if record.created_id < first_living_ids.get(record.user_id, ""):
            await self._conversations.delete_one({**key, "createdId": record.created_id})

    async def _living(self, found: Sequence[Document]) -> list[Document]:
        """Return the records that no erasure of their user covers.

        An erasure by an earlier version, or one that did not end, leaves records behind.
        """
        users = {_user_of(record) for record in found}
        if not users:
            return []
        first_ids = await self._calls.read(self._erasures.first_living_ids(users))
        return [
            record for record in found if record["createdId"] >= first_ids.get(_user_of(record), "")
        ]


def _record(found: Document) -> ConversationRecord:
    try:
        return record_in(found["body"])
    except UnreadableDocument as exc:
        raise HistoryDamaged("the record of a conversation cannot be read") from exc


def _user_of(found: Document) -> str:
    return str(found["_id"]).partition("/")[0]


def _key(user_id: str, conversation_id: str) -> str:
    return f"{user_id}/{conversation_id}"


def _keys_of(user_id: str) -> Document:
    return {"$gt": f"{user_id}/", "$lt": f"{user_id}0"}  # 0 follows the slash
