"""Attachments in an S3 bucket.

    contents/<user>/<attachment>                     the bytes
    references/<user>/<attachment>/<interaction>     an empty object for each reference
    erasing/<user>/<attachment>/<random>             a copy of the bytes while they are deleted

S3 has no transactions. A reference is written before the content, and a content is deleted when no reference is
listed. Where one appears between the listing and the deletion, a second listing shows it, and the content is put back
from the copy; a copy that an interrupted process left is put back or deleted by `references`.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from domain.entities.interaction import first_id_after
from domain.exceptions import HistoryError, HistoryUnavailable, HistoryUnreadable
from domain.interfaces.attachments import AttachmentReferences, AttachmentStore, StoredContent
from domain.interfaces.clock import Clock
from infra.attachments.names import check_ids, is_attachment_id, name_of_user, user_of_name
from infra.attachments.s3_bucket import Bucket, StoredObject, open_bucket
from infra.configuration import ConfigurationError
from infra.history.store.reachability import Reachability
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.errors import translate_errors
from infra.tasks.supervised import running_tasks

T = TypeVar("T")

PUT_SECONDS = 30.0
GET_SECONDS = 15.0
ERASE_SECONDS = 15.0
LIST_SECONDS = 15.0
PROBE_SECONDS = 2.5
FAILURES_TO_BE_AWAY = 2
ABANDONED_AGE = timedelta(hours=1)
"""Age of a copy above which the process that deletes the content counts as dead."""

_AT_ONCE = 8
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_CONTENTS = "contents/"
_REFERENCES = "references/"
_ERASING = "erasing/"
_REFERENCE = StoredContent(media_type="application/x-empty", content=b"")


class S3Attachments(AttachmentStore):
    """Objects in the layout described above; `name` is `<user>/<attachment>` in all methods."""

    def __init__(self, bucket: Bucket, *, clock: Clock) -> None:
        self.reachability = Reachability("S3", self._probe, clock, failures=FAILURES_TO_BE_AWAY)
        self._bucket = bucket
        self._clock = clock

    def admit(self, size_bytes: int) -> None:
        if self.reachability.is_away:
            raise HistoryUnavailable("S3 does not answer")

    async def put(
        self, user_id: str, attachment_id: str, content: StoredContent, *, interaction_id: str
    ) -> bool:
        check_ids(attachment_id, interaction_id)
        put = self._put(_name(user_id, attachment_id), content, interaction_id)
        try:
            is_new = await _within(PUT_SECONDS, put, HistoryUnavailable)
        except HistoryUnavailable:
            self.reachability.fail()
            raise
        self.reachability.succeed()
        return is_new

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        if not is_attachment_id(attachment_id):
            return None
        return await _within(
            GET_SECONDS, self._bucket.get(_CONTENTS + _name(user_id, attachment_id))
        )

    async def release(
        self, user_id: str, interaction_id: str, attachment_ids: Sequence[str]
    ) -> None:
        names = [_name(user_id, one) for one in attachment_ids if is_attachment_id(one)]
        await _each(
            self._bucket.delete, [f"{_REFERENCES}{name}/{interaction_id}" for name in names]
        )
        await _each(self._remove_unreferenced, names)

    async def release_all(self, user_id: str, until_id: str) -> None:
        before_id = first_id_after(until_id)
        user = f"{name_of_user(user_id)}/"
        references = [key async for key in self._keys(_REFERENCES + user)]
        await _each(
            self._bucket.delete, [key for key in references if key.rpartition("/")[2] < before_id]
        )
        # Contents are listed as well: an interrupted release leaves some without a reference.
        contents = [name async for name in self._contents(_CONTENTS + user)]
        await _each(self._remove_unreferenced, contents)

    async def references(self) -> AsyncIterator[AttachmentReferences]:
        """Yield all attachments, after completing the deletions of interrupted processes."""
        await self._finish_erasures()
        contents = self._contents(_CONTENTS)
        content = await anext(contents, None)
        async for name, interaction_ids in self._references_by_name():
            # Both listings are in the same order, so a content that comes before has no reference.
            while content is not None and content <= name:
                if content < name:
                    await _within(ERASE_SECONDS, self._remove_unreferenced(content))
                content = await anext(contents, None)
            user, attachment_id = name.split("/")
            yield AttachmentReferences(
                user_id=user_of_name(user),
                attachment_id=attachment_id,
                interaction_ids=interaction_ids,
            )
        while content is not None:
            await _within(ERASE_SECONDS, self._remove_unreferenced(content))
            content = await anext(contents, None)

    async def _put(self, name: str, content: StoredContent, interaction_id: str) -> bool:
        await self._bucket.put(f"{_REFERENCES}{name}/{interaction_id}", _REFERENCE)
        if await self._bucket.has_any(_CONTENTS + name):
            return False
        await self._bucket.put(_CONTENTS + name, content)
        return True

    async def _remove_unreferenced(self, name: str) -> None:
        """Delete a content unless an interaction refers to it."""
        while not await self._bucket.has_any(f"{_REFERENCES}{name}/"):
            copy = f"{_ERASING}{name}/{secrets.token_hex(16)}"
            if not await self._bucket.copy(_CONTENTS + name, copy):
                return
            await self._bucket.delete(_CONTENTS + name)
            # Again after putting it back, since the new reference may be released before that.
            if not await self._put_back(name, copy):
                return

    async def _put_back(self, name: str, copy: str) -> bool:
        """Put a deleted content back if an interaction refers to it, and delete the copy; return whether one does."""
        is_referenced = await self._bucket.has_any(f"{_REFERENCES}{name}/")
        if is_referenced and not await self._bucket.has_any(_CONTENTS + name):
            await self._bucket.copy(copy, _CONTENTS + name)
        await self._bucket.delete(copy)
        return is_referenced

    async def _finish_erasures(self) -> None:
        """Complete the deletions of interrupted processes."""
        newest = datetime.fromtimestamp(self._clock.now_milliseconds() / 1000, UTC) - ABANDONED_AGE
        async for found in self._objects(_ERASING):
            if found.modified_at < newest:
                name = found.key.removeprefix(_ERASING).rpartition("/")[0]
                await _within(ERASE_SECONDS, self._put_back(name, found.key))

    async def _references_by_name(self) -> AsyncIterator[tuple[str, list[str]]]:
        name, interaction_ids = "", list[str]()
        async for key in self._keys(_REFERENCES):
            its_name, _, interaction_id = key.removeprefix(_REFERENCES).rpartition("/")
            if not _is_name(its_name):
                continue
            if its_name != name:
                if interaction_ids:
                    yield name, interaction_ids
                name, interaction_ids = its_name, []
            interaction_ids.append(interaction_id)
        if interaction_ids:
            yield name, interaction_ids

    async def _contents(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names of contents; objects that this service did not store are skipped."""
        async for key in self._keys(prefix):
            if _is_name(name := key.removeprefix(_CONTENTS)):
                yield name

    async def _keys(self, prefix: str) -> AsyncIterator[str]:
        async for found in self._objects(prefix):
            yield found.key

    async def _objects(self, prefix: str) -> AsyncIterator[StoredObject]:
        pages = self._bucket.listed(prefix)
        while (page := await _within(LIST_SECONDS, anext(pages, None))) is not None:
            for found in page:
                yield found

    async def _probe(self) -> None:
        await _within(PROBE_SECONDS, self._bucket.has_any(_CONTENTS), HistoryUnavailable)


@asynccontextmanager
async def open_s3_attachments(
    access: AwsAccess, *, bucket: str, clock: Clock
) -> AsyncIterator[S3Attachments]:
    """Use a bucket of S3; it need not be reachable yet. An emulator's is created if missing.

    Args:
        access: Region and credentials; the endpoint of an emulator.
        bucket: The name of the bucket.
        clock: For pauses.

    Raises:
        ConfigurationError: That can be no bucket, or no region is known.
    """
    if not _BUCKET_NAME.fullmatch(bucket):
        raise ConfigurationError("ATTACHMENTS_BUCKET is not the name of a bucket")
    async with open_bucket(access, bucket) as opened:
        store = S3Attachments(opened, clock=clock)
        async with running_tasks(store.reachability.watch):
            yield store


def _name(user_id: str, attachment_id: str) -> str:
    return f"{name_of_user(user_id)}/{attachment_id}"


def _is_name(text: str) -> bool:
    user, _, its_id = text.partition("/")
    try:
        user_of_name(user)
    except ValueError:
        return False
    return is_attachment_id(its_id)


async def _within(
    seconds: float, call: Awaitable[T], error: type[HistoryError] = HistoryUnreadable
) -> T:
    with translate_errors(error, "S3"):
        async with asyncio.timeout(seconds):
            return await call


async def _each(action: Callable[[str], Coroutine[Any, Any, None]], names: Sequence[str]) -> None:
    """Call `action` for each name, a few at the same time."""
    for start in range(0, len(names), _AT_ONCE):
        await asyncio.gather(
            *[_within(ERASE_SECONDS, action(name)) for name in names[start : start + _AT_ONCE]]
        )
