"""Files of GridFS and their chunks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import Int64, ObjectId
from gridfs.asynchronous import DEFAULT_CHUNK_SIZE, AsyncGridOut
from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from infra.storage.mongo.client import Document

SENT_BYTES = 8 * DEFAULT_CHUNK_SIZE
"""Size of the chunks in one call."""

_CHUNK_INDEXES = [IndexModel([("files_id", 1), ("n", 1)], unique=True)]


class GridFsBucket:
    """One bucket. Every method raises `PyMongoError` if MongoDB fails.

    The driver's own upload encodes up to 32 MB of chunks at once, which would block the event loop, and after
    a failure it deletes a file to which a reference may have been added meanwhile.
    """

    def __init__(self, database: AsyncDatabase[Document], name: str) -> None:
        self._collection = database[name]
        self.files = self._collection["files"]
        self._chunks = self._collection["chunks"]

    async def make_indexes(self) -> None:
        """Create the index of chunks."""
        await self._chunks.create_indexes(_CHUNK_INDEXES)

    async def upload(self, file: Document, content: bytes) -> bool:
        """Store a file after its chunks; return False, and leave nothing, if an index of files refuses it.

        Args:
            file: The fields of the file other than its id and sizes.
            content: The bytes.
        """
        file_id = ObjectId()
        view = memoryview(content)
        for start in range(0, len(view), SENT_BYTES):
            end = min(start + SENT_BYTES, len(view))
            chunks = [
                {
                    "files_id": file_id,
                    "n": at // DEFAULT_CHUNK_SIZE,
                    "data": bytes(view[at : min(at + DEFAULT_CHUNK_SIZE, end)]),
                }
                for at in range(start, end, DEFAULT_CHUNK_SIZE)
            ]
            await self._chunks.insert_many(chunks)
        sizes = {"length": Int64(len(view)), "chunkSize": DEFAULT_CHUNK_SIZE}
        try:
            await self.files.insert_one({"_id": file_id, **sizes, **file})
        except DuplicateKeyError:
            await self.remove_chunks(file_id)
            return False
        return True

    async def download(self, file: Mapping[str, Any]) -> bytes:
        """Return the bytes of a file.

        Raises:
            gridfs.errors.CorruptGridFile: Chunks are missing.
        """
        content: bytes = await AsyncGridOut(self._collection, file_document=file).read()
        return content

    async def remove_chunks(self, file_id: ObjectId) -> None:
        """Remove the chunks of a file that is removed."""
        await self._chunks.delete_many({"files_id": file_id})

    async def remove_chunks_without_file(self, before: datetime) -> None:
        """Remove chunks without a file whose upload began before a time; ids of files contain it."""
        # The stages before the look-up read the index of chunks alone.
        listing = await self._chunks.aggregate(
            [
                {"$match": {"files_id": {"$lt": ObjectId.from_datetime(before)}}},
                {"$project": {"_id": 0, "files_id": 1}},
                {"$group": {"_id": "$files_id"}},
                {
                    "$lookup": {
                        "from": self.files.name,
                        "localField": "_id",
                        "foreignField": "_id",
                        "as": "file",
                    }
                },
                {"$match": {"file": []}},
            ]
        )
        async for chunk in listing:
            await self.remove_chunks(chunk["_id"])
