"""Attachments in MongoDB's GridFS."""

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pymongo
from gridfs.errors import CorruptGridFile
from pymongo import IndexModel

from domain.entities.interaction import first_id_after
from domain.exceptions import (
    HistoryDamaged,
    HistoryError,
    HistoryUnavailable,
    HistoryUnreadable,
    Unstorable,
)
from domain.interfaces.attachments import AttachmentReferences, AttachmentStore, StoredContent
from domain.interfaces.clock import Clock
from infra.attachments.gridfs_bucket import GridFsBucket
from infra.history.mongo.errors import translate_errors
from infra.history.store.reachability import Reachability
from infra.storage.mongo.client import Document, MongoAccess, connected_when_needed
from infra.tasks.supervised import running_tasks

T = TypeVar("T")

BUCKET = "attachments"
PUT_SECONDS = 30.0
GET_SECONDS = 15.0
ERASE_SECONDS = 10.0
LIST_SECONDS = 60.0
PROBE_SECONDS = 2.5
FAILURES_TO_BE_AWAY = 2
ABANDONED_AGE = timedelta(hours=1)
"""Age of chunks without a file above which their writer counts as dead."""

_TRIES = 3
_AT_ONCE = 100
_LISTED_AT_ONCE = 1000
_USER = "metadata.userId"
_REFERENCES = "metadata.references"
_FILE_INDEXES = [IndexModel([(_USER, 1), ("filename", 1)], name="byUser", unique=True)]


class GridFsAttachments(AttachmentStore):
    """A bucket whose files are named by attachment id; user, media type and references are in their metadata.

    A file is inserted after its chunks, with its first reference, and removed before its chunks, on the condition that
    it has no reference; so a file with references always has its chunks. The indexes are created with the first
    attachment.
    """

    def __init__(self, access: MongoAccess, *, clock: Clock) -> None:
        self.reachability = Reachability("GridFS", self._probe, clock, failures=FAILURES_TO_BE_AWAY)
        self._database = access.database
        self._bucket = GridFsBucket(access.database, BUCKET)
        self._files = self._bucket.files
        self._calls = access.calls
        self._clock = clock
        self._has_indexes = False

    def admit(self, size_bytes: int) -> None:
        if self.reachability.is_away:
            raise HistoryUnavailable("MongoDB does not answer")

    async def put(
        self, user_id: str, attachment_id: str, content: StoredContent, *, interaction_id: str
    ) -> bool:
        put = self._put(user_id, attachment_id, content, interaction_id)
        try:
            is_new = await self._call(HistoryUnavailable, PUT_SECONDS, put)
        except Unstorable:
            raise  # it answered
        except HistoryUnavailable:
            self.reachability.fail()
            raise
        self.reachability.succeed()
        return is_new

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        get = self._get({_USER: user_id, "filename": attachment_id})
        return await self._call(HistoryUnreadable, GET_SECONDS, get)

    async def release(
        self, user_id: str, interaction_id: str, attachment_ids: Sequence[str]
    ) -> None:
        which = {_USER: user_id, "filename": {"$in": list(attachment_ids)}}
        await self._release(which, interaction_id)

    async def release_all(self, user_id: str, until_id: str) -> None:
        await self._release({_USER: user_id}, {"$lt": first_id_after(until_id)})

    async def references(self) -> AsyncIterator[AttachmentReferences]:
        """Yield all attachments, after deleting unfinished files of interrupted processes."""
        await self._remove_unreferenced({})
        oldest_running = self._now() - ABANDONED_AGE
        await self._call(
            HistoryUnreadable, LIST_SECONDS, self._bucket.remove_chunks_without_file(oldest_running)
        )
        after: Document = {}
        while True:
            listing = self._files.find(after, {"filename": 1, "metadata": 1}).sort("_id", 1)
            page = await self._call(
                HistoryUnreadable, LIST_SECONDS, listing.limit(_LISTED_AT_ONCE).to_list()
            )
            for file in page:
                yield AttachmentReferences(
                    user_id=file["metadata"]["userId"],
                    attachment_id=file["filename"],
                    interaction_ids=file["metadata"]["references"],
                )
            if len(page) < _LISTED_AT_ONCE:
                return
            after = {"_id": {"$gt": page[-1]["_id"]}}

    async def _put(
        self, user_id: str, attachment_id: str, content: StoredContent, interaction_id: str
    ) -> bool:
        with pymongo.timeout(PUT_SECONDS):
            if not self._has_indexes:
                await self._files.create_indexes(_FILE_INDEXES)
                await self._bucket.make_indexes()
                self._has_indexes = True
            for _ in range(_TRIES):
                stored = await self._files.update_one(
                    {_USER: user_id, "filename": attachment_id},
                    {"$addToSet": {_REFERENCES: interaction_id}},
                )
                if stored.matched_count:
                    return False
                file = {
                    "filename": attachment_id,
                    "uploadDate": self._now(),
                    "metadata": {
                        "userId": user_id,
                        "mediaType": content.media_type,
                        "references": [interaction_id],
                    },
                }
                if await self._bucket.upload(file, content.content):
                    return True
        raise HistoryUnavailable("others keep storing and releasing the attachment")

    async def _get(self, which: Mapping[str, Any]) -> StoredContent | None:
        with pymongo.timeout(GET_SECONDS):
            while (file := await self._files.find_one(which)) is not None:
                try:
                    content = await self._bucket.download(file)
                except CorruptGridFile as exc:
                    if await self._files.find_one({"_id": file["_id"]}, {"_id": 1}) is not None:
                        raise HistoryDamaged("chunks of an attachment are missing") from exc
                    continue  # it was released meanwhile
                return StoredContent(media_type=file["metadata"]["mediaType"], content=content)
        return None

    async def _release(self, which: Document, interaction_ids: str | Document) -> None:
        pull = {"$pull": {_REFERENCES: interaction_ids}}
        await self._call(HistoryUnreadable, LIST_SECONDS, self._files.update_many(which, pull))
        await self._remove_unreferenced(which)

    async def _remove_unreferenced(self, which: Document) -> None:
        """Remove those files of `which` that no interaction refers to."""
        unreferenced = {**which, _REFERENCES: {"$size": 0}}
        while await self._call(HistoryUnreadable, ERASE_SECONDS, self._remove_some(unreferenced)):
            pass

    async def _remove_some(self, unreferenced: Document) -> bool:
        """Remove a batch of files; return whether there may be more."""
        found = await self._files.find(unreferenced, {"_id": 1}).limit(_AT_ONCE).to_list()
        for file in found:
            which = {"_id": file["_id"], _REFERENCES: {"$size": 0}}
            if (await self._files.delete_one(which)).deleted_count:
                await self._bucket.remove_chunks(file["_id"])
        return len(found) == _AT_ONCE

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_milliseconds() / 1000, UTC)

    async def _probe(self) -> None:
        hello = self._database.command("hello")
        answer = await self._call(HistoryUnavailable, PROBE_SECONDS, hello)
        if not answer.get("isWritablePrimary"):
            raise HistoryUnavailable("MongoDB takes no writes")

    async def _call(
        self, error: type[HistoryError], seconds: float, call: Coroutine[Any, Any, T]
    ) -> T:
        with translate_errors(error):
            return await self._calls.within(seconds, call)


@asynccontextmanager
async def open_gridfs_attachments(
    uri: str, *, database: str, clock: Clock
) -> AsyncIterator[GridFsAttachments]:
    """Use GridFS in MongoDB at `uri`; connects on first use.

    Args:
        uri: May contain a password, and is never shown.
        database: The database of history.
        clock: For pauses.

    Raises:
        ConfigurationError: The URI or the name of the database is invalid.
    """
    async with connected_when_needed(uri, database) as access:
        store = GridFsAttachments(access, clock=clock)
        async with running_tasks(store.reachability.watch):
            yield store
