"""Reads and writes of event logs in MongoDB.

No transactions are used, so that a server without a replica set works too. A log fences itself: every append is
one insert at the next position, and a new lease takes the next position before it writes. An insert of an older lease
then finds its position taken.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern

from domain.entities.background.answer import AnswerKey, AnswerLease
from domain.entities.background.log import LeaseState
from domain.exceptions import LeaseLost
from infra.answers.chunks import Chunk, Stored
from infra.answers.logs import (
    ERASED_AT_ONCE,
    ERASED_EPOCH,
    Found,
    SharedLogs,
    StoredChunk,
    Taken,
    lease_state,
)
from infra.answers.mongo.documents import (
    BY_NUMBER,
    blank,
    chunk_id,
    chunk_in,
    chunks_of,
    document_of,
    fence,
    header_id,
    is_running,
    key_in,
    time_of,
)
from infra.storage.mongo.client import Document, MongoAccess

ERASED_SECONDS = 7 * 86_400.0
"""Time for which the positions of an erased log stay taken, because a writer that was suspended may still write."""

_DUPLICATE_KEY = 11000
_RUNNING = {"leaseUntil": {"$exists": True}}


class MongoLogs(SharedLogs):
    """The logs in one database.

    What readers see is read with the concern `majority`, so that it does not vanish with a primary. Writers read what
    the primary has: a write that follows, acknowledged by a majority, makes that durable too.
    """

    def __init__(self, access: MongoAccess, *, keep_seconds: float) -> None:
        self.headers = access.database["answers"]
        self.chunks = access.database["answer_records"]
        durable = ReadConcern("majority")
        self._durable_headers = self.headers.with_options(read_concern=durable)
        self._durable_chunks = self.chunks.with_options(read_concern=durable)
        self._keep_milliseconds = round(keep_seconds * 1000)

    async def begin(
        self, key: AnswerKey, request: bytes, *, now_milliseconds: int, lease_until: int
    ) -> bool:
        header = {
            "_id": header_id(key),
            "epoch": 1,
            "takeovers": 0,
            "leaseUntil": lease_until,
            "isGivenUp": False,
            "isStopped": False,
            "begun": now_milliseconds,
            "request": request,
        }
        try:
            await self.headers.insert_one(header)
        except DuplicateKeyError:
            return False
        return True

    async def put(self, chunk: Chunk, now_milliseconds: int) -> Stored:
        document = document_of(chunk, now_milliseconds)
        if not await self._insert(document):
            there = await self.chunks.find_one({"_id": document["_id"]})
            if there is None or there["epoch"] != chunk.epoch:
                raise LeaseLost
            document = there
        if "isLast" in document:
            await self._finish(chunk.key, document["next"], now_milliseconds)
        return Stored(document["count"], document["next"])

    async def renew(self, leases: Sequence[AnswerLease], lease_until: int) -> list[LeaseState]:
        if leases:
            await self.headers.bulk_write(
                [
                    UpdateOne(
                        _held_by(lease) | {"isGivenUp": False},
                        {"$set": {"leaseUntil": lease_until}},
                    )
                    for lease in leases
                ],
                ordered=False,
            )
        return await self.states(leases)

    async def states(self, leases: Sequence[AnswerLease]) -> list[LeaseState]:
        found = self.headers.find(
            {"_id": {"$in": [header_id(lease.key) for lease in leases]}, **_RUNNING},
            {"epoch": 1, "isGivenUp": 1, "isStopped": 1},
        )
        headers = {key_in(header): header for header in await found.to_list()}
        return [_state_of(lease, headers.get(lease.key)) for lease in leases]

    async def give_up(self, lease: AnswerLease, now_milliseconds: int) -> None:
        await self.headers.update_one(
            _held_by(lease),
            {"$set": {"isGivenUp": True}, "$min": {"leaseUntil": now_milliseconds}},
        )

    async def abandoned(self, now_milliseconds: int, limit: int) -> list[AnswerKey]:
        found = (
            self.headers.find({"leaseUntil": {"$lte": now_milliseconds}}, {"_id": 1})
            .sort("leaseUntil", 1)
            .limit(limit)
        )
        return [key_in(header) for header in await found.to_list()]

    async def take_over(
        self,
        key: AnswerKey,
        *,
        now_milliseconds: int,
        lease_until: int,
        on_lease: Callable[[AnswerLease], None],
    ) -> Taken | None:
        seen = await self.headers.find_one({"_id": header_id(key)}, {"request": 0})
        if seen is None or not is_running(seen) or seen["leaseUntil"] > now_milliseconds:
            return None
        header = await self.headers.find_one_and_update(
            {"_id": seen["_id"], "epoch": seen["epoch"], "leaseUntil": seen["leaseUntil"]},
            {
                "$set": {"leaseUntil": lease_until, "isGivenUp": False},
                "$inc": {"epoch": 1, "takeovers": 0 if seen["isGivenUp"] else 1},
            },
            return_document=ReturnDocument.AFTER,
        )
        if header is None:
            return None
        epoch = header["epoch"]
        on_lease(AnswerLease(key=key, epoch=epoch))
        documents = await self.chunks.find(chunks_of(key)).sort("_id", 1).to_list()
        chunks = [chunk_in(document) for document in documents]
        while True:
            position = chunks[-1].position + 1 if chunks else 0
            number = chunks[-1].next_number if chunks else 0
            if chunks and chunks[-1].is_last:
                # its writer died between the last chunk and the end of the lease
                await self._finish(key, number, now_milliseconds)
                return None
            if await self._insert(fence(key, epoch=epoch, position=position, number=number)):
                break
            there = await self.chunks.find_one({"_id": chunk_id(key, position)})
            if there is None or not ERASED_EPOCH < there["epoch"] < epoch:
                return None
            chunks.append(chunk_in(there))
        lease = AnswerLease(
            key=key,
            epoch=epoch,
            takeovers=header["takeovers"],
            next_position=position + 1,
            next_number=number,
        )
        return Taken(
            lease=lease,
            is_stopped=header["isStopped"],
            begun_milliseconds=header["begun"],
            request=header["request"],
            chunks=chunks,
        )

    async def find(
        self,
        key: AnswerKey,
        *,
        after: int,
        limit: int,
        with_request: bool,
        now_milliseconds: int,
    ) -> Found | None:
        header = await self._durable_headers.find_one(
            {"_id": header_id(key)}, None if with_request else {"request": 0}
        )
        if header is None or "erased" in header:
            return None
        if header.get("endedAt", now_milliseconds) <= now_milliseconds - self._keep_milliseconds:
            return None
        cursor = (
            self._durable_chunks.find(
                {
                    "_id.u": key.user_id,
                    "_id.i": key.interaction_id,
                    "next": {"$gt": after + 1},
                }
            )
            .sort(BY_NUMBER)
            .limit(limit)
        )
        chunks: list[StoredChunk] = []
        async with cursor:
            async for document in cursor:
                chunks.append(chunk_in(document))
                if chunks[-1].next_number - 1 - after >= limit:
                    break
        return Found(
            request=header.get("request"), end_number=header.get("endNumber"), chunks=chunks
        )

    async def stop(self, key: AnswerKey) -> bool:
        result = await self.headers.update_one(
            {"_id": header_id(key), **_RUNNING}, {"$set": {"isStopped": True}}
        )
        return result.matched_count == 1

    async def erase(self, key: AnswerKey, now_milliseconds: int) -> None:
        header = await self.headers.find_one_and_update(
            {"_id": header_id(key)},
            {
                "$set": {"erased": "begun"},
                "$unset": {"request": "", "leaseUntil": "", "expiresAt": ""},
            },
            {"request": 0},
        )
        if header is None:
            return
        await self._close(key)
        expires_at = time_of(
            now_milliseconds + self._keep_milliseconds + round(ERASED_SECONDS * 1000)
        )
        await self.chunks.update_many(chunks_of(key), blank(expires_at))
        await self.headers.update_one(
            {"_id": header_id(key)}, {"$set": {"erased": "done", "expiresAt": expires_at}}
        )

    async def to_erase(self, user_id: str, *, after_id: str, before_id: str) -> list[AnswerKey]:
        found = (
            self.headers.find(
                {
                    "_id": {
                        "$gt": {"u": user_id, "i": after_id},
                        "$lt": {"u": user_id, "i": before_id},
                    },
                    "erased": {"$ne": "done"},
                },
                {"_id": 1},
            )
            .sort("_id", 1)
            .limit(ERASED_AT_ONCE)
        )
        return [key_in(header) for header in await found.to_list()]

    async def _close(self, key: AnswerKey) -> None:
        """Take the next position of an erased log."""
        while True:
            last = await self.chunks.find(chunks_of(key)).sort("_id", -1).limit(1).to_list()
            if last and last[0]["epoch"] == ERASED_EPOCH:
                return
            await self._insert(
                fence(
                    key,
                    epoch=ERASED_EPOCH,
                    position=last[0]["_id"]["p"] + 1 if last else 0,
                    number=last[0]["next"] if last else 0,
                )
            )

    async def _finish(self, key: AnswerKey, end_number: int, now_milliseconds: int) -> None:
        """End the lease of a log that has its last chunk, and let all of it expire."""
        expires_at = time_of(now_milliseconds + self._keep_milliseconds)
        await self.chunks.update_many(chunks_of(key), {"$set": {"expiresAt": expires_at}})
        await self.headers.update_one(
            {"_id": header_id(key), **_RUNNING},
            {
                "$set": {
                    "endNumber": end_number,
                    "endedAt": now_milliseconds,
                    "expiresAt": expires_at,
                },
                "$unset": {"leaseUntil": ""},
            },
        )

    async def _insert(self, document: Document) -> bool:
        """Insert a chunk; return False if its position is taken, once what takes it is durable."""
        try:
            await self.chunks.insert_many([document], ordered=False)
        except BulkWriteError as exc:
            errors: list[dict[str, Any]] = exc.details["writeErrors"]
            is_only_there = all(error["code"] == _DUPLICATE_KEY for error in errors)
            if not is_only_there or exc.details["writeConcernErrors"]:
                raise
            return False
        return True


def _held_by(lease: AnswerLease) -> Document:
    return {"_id": header_id(lease.key), "epoch": lease.epoch, **_RUNNING}


def _state_of(lease: AnswerLease, header: Document | None) -> LeaseState:
    if header is None:
        return LeaseState.LOST
    return lease_state(
        is_held=header["epoch"] == lease.epoch and not header["isGivenUp"],
        is_stopped=header["isStopped"],
    )
