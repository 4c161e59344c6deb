"""Writes a store, or one user's part of it, to a file of JSON lines."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from os import fsync
from pathlib import Path

import orjson

from domain.entities.checksum import EMPTY_CHECKSUM, Checksum
from domain.entities.stored_record import InteractionKey, Record
from domain.interfaces.attachments import ContentReader, StoredContent
from domain.interfaces.conversation_records import ConversationRecordReader
from domain.interfaces.history_archive import ArchiveReader
from infra.history.format.documents import UnreadableDocument
from infra.history.transfer.attachment_lines import (
    is_attachment_line,
    line_of_attachment,
    read_attachment,
)
from infra.history.transfer.conversation_lines import is_conversation_line, line_of_conversation
from infra.history.transfer.jsonl_format import InvalidLine, line_of
from infra.history.transfer.record_contents import (
    ContentsNotConfigured,
    attachment_ids_of,
    content_ids_of,
    may_have_contents,
    with_long_texts,
)
from infra.storage.private_files import make_private_file, sync_folder

_LINES_AT_ONCE = 1000
_BYTES_AT_ONCE = 1024 * 1024
_RESUMABLE_SECONDS = 24 * 3600
"""Age above which an interrupted export starts again, because interactions in it may have been erased since."""


class ExportFailed(Exception):
    """No file was written; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export.

    Attributes:
        summed: Of the lines of interactions.
        missing: Number of references to contents that are not stored.
    """

    summed: Checksum
    missing: int


@dataclass(frozen=True, slots=True)
class _Resumed:
    """The state of an interrupted export."""

    summed: Checksum
    last_key: InteractionKey | None
    attachment_ids: set[str]


async def export_to(
    target: Path,
    store: ArchiveReader,
    *,
    contents: ContentReader | None,
    records: ConversationRecordReader | None = None,
    store_name: str,
    user_id: str | None,
    overwrite: bool,
    progress: Callable[[int, int], None],
    first_kept_id: str = "",
) -> Exported:
    """Write every interaction as a line to `target`, with its attachments before it, then the records of conversations; read the file back.

    One attachment at a time is in memory. `target` appears when it is complete. An interrupted export resumes.

    Args:
        target: Created with mode 0600.
        store: May be in use; concurrent writes may be included or not.
        contents: What the interactions refer to; None if no place for it is configured.
        records: The records of conversations; None leaves them out.
        store_name: Identifies the store.
        user_id: Exports only this user's interactions.
        overwrite: Whether an existing file at `target` is replaced.
        progress: Called with the number written and the approximate total.
        first_kept_id: Interactions below this id have expired and are omitted.

    Raises:
        ExportFailed: `target` exists, cannot be written, or does not read back as written.
        ContentsNotConfigured: An interaction refers to contents, and `contents` is None.
        HistoryUnreadable: The store cannot be read; the next export resumes.
    """
    target = _resolved(target)
    _refuse_existing(target, overwrite=overwrite)
    partial = _partial_of(target, store_name, user_id)
    try:
        resumed = _resume(partial)
        summed, lines = resumed.summed, _Lines(contents, resumed.attachment_ids)
        whole = 0 if user_id is not None else await store.estimated_count()
        with partial.open("ab") as file:
            async with aclosing(store.pages(resumed.last_key, user_id=user_id)) as pages:
                async for page in pages:
                    kept = [
                        record
                        for record in page.records
                        if record.key.interaction_id >= first_kept_id
                    ]
                    async for some in lines.of(kept):
                        file.writelines(line + b"\n" for line in some)
                        summed = summed.plus(_digests(some))
                        progress(summed.count, max(whole, summed.count))
            conversations = EMPTY_CHECKSUM
            if records is not None:
                async for record in records.all(user_id=user_id):
                    kept_record = record.without_expired(first_kept_id)
                    if kept_record is not None:
                        file.write((line := line_of_conversation(kept_record)) + b"\n")
                        conversations = conversations.plus([sha256(line).digest()])
            file.flush()
            fsync(file.fileno())
        if not _reads_back(partial, summed, conversations):
            partial.unlink()
            raise ExportFailed(f"{target} does not contain what was written to it: check the disk")
        partial.replace(target)
        sync_folder(target.parent)
    except OSError as exc:
        raise ExportFailed(f"{target} cannot be written: {exc.strerror}") from exc
    except UnreadableDocument as exc:
        raise ExportFailed(f"the store holds {exc}: export with the version that wrote it") from exc
    return Exported(summed, lines.missing)


class _Lines(ContentReader):
    """The lines of records with the attachments that they refer to.

    Attributes:
        missing: Number of references to contents that are not stored.
    """

    def __init__(self, contents: ContentReader | None, written_ids: set[str]) -> None:
        """Leave out the attachments in `written_ids`, and add the others to it."""
        self._contents = contents
        self._written_ids = written_ids
        self.missing = 0

    async def of(self, records: Sequence[Record]) -> AsyncIterator[Sequence[bytes]]:
        """Yield the lines of `records` in groups, an attachment alone."""
        lines: list[bytes] = []
        size_bytes = 0
        for record in records:
            if may_have_contents(record):
                if lines:
                    yield lines
                    lines, size_bytes = [], 0
                if self._contents is None and content_ids_of(record):
                    raise ContentsNotConfigured
                async for line in self._of_attachments(record):
                    yield [line]
                record = await with_long_texts(record, self)  # noqa: PLW2901
            lines.append(line := line_of(record))
            size_bytes += len(line)
            if size_bytes >= _BYTES_AT_ONCE:
                yield lines
                lines, size_bytes = [], 0
        if lines:
            yield lines

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        """Return a content; count it if there is none."""
        stored = (
            None if self._contents is None else await self._contents.get(user_id, attachment_id)
        )
        if stored is None:
            self.missing += 1
        return stored

    async def _of_attachments(self, record: Record) -> AsyncIterator[bytes]:
        for attachment_id in attachment_ids_of(record):
            if attachment_id in self._written_ids:
                continue
            stored = await self.get(record.key.user_id, attachment_id)
            if stored is not None:
                self._written_ids.add(attachment_id)
                yield line_of_attachment(record.key.user_id, attachment_id, stored)


def _resolved(target: Path) -> Path:
    """Return the path with links resolved: the export replaces the file, not a link to it."""
    return target.resolve()


def _refuse_existing(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not target.is_file():
        raise ExportFailed(f"{target} is not a file: choose another name")
    if target.exists() and not overwrite:
        raise ExportFailed(f"{target} exists already: choose another name, or add --force")


def _partial_of(target: Path, store_name: str, user_id: str | None) -> Path:
    """Return the path of the incomplete file, distinct for each store and user, so that another export does not resume it."""
    mark = sha256(orjson.dumps([store_name, user_id])).hexdigest()[:8]
    return target.with_name(f".{target.name}.{mark}.partial")


def _resume(partial: Path) -> _Resumed:
    """Return the state of an interrupted export, after cutting off an incomplete last line."""
    if partial.exists() and time.time() - partial.stat().st_mtime > _RESUMABLE_SECONDS:
        partial.unlink()
    make_private_file(partial)
    summed, last_line, size_bytes = EMPTY_CHECKSUM, b"", 0
    attachment_ids: set[str] = set()
    for lines in _lines_of(partial):
        summed = summed.plus(_digests(lines))
        for line in lines:
            if is_conversation_line(line):
                continue  # they are the last lines, and are written again
            size_bytes += len(line) + 1
            if is_attachment_line(line):
                attachment_ids.add(orjson.loads(line)["attachment"]["id"])
            else:
                last_line = line
    with partial.open("r+b") as file:
        file.truncate(size_bytes)
    if not last_line:
        return _Resumed(EMPTY_CHECKSUM, None, attachment_ids)
    interaction = orjson.loads(last_line)
    return _Resumed(
        summed, InteractionKey(interaction["userId"], interaction["id"]), attachment_ids
    )


def _reads_back(file: Path, written: Checksum, written_conversations: Checksum) -> bool:
    """Return whether a file contains the written lines, and its attachments are complete."""
    summed = conversations = EMPTY_CHECKSUM
    for lines in _lines_of(file):
        summed = summed.plus(_digests(lines))
        try:
            for line in lines:
                if is_attachment_line(line):
                    read_attachment(line)
                elif is_conversation_line(line):
                    conversations = conversations.plus([sha256(line).digest()])
        except InvalidLine:
            return False
    return summed == written and conversations == written_conversations


def _lines_of(path: Path) -> Iterator[Sequence[bytes]]:
    """Yield the complete lines of a file in groups, without line ends."""
    some: list[bytes] = []
    size_bytes = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            some.append(line[:-1])
            size_bytes += len(line)
            if len(some) == _LINES_AT_ONCE or size_bytes >= _BYTES_AT_ONCE:
                yield some
                some, size_bytes = [], 0
    if some:
        yield some


def _digests(lines: Sequence[bytes]) -> list[bytes]:
    """Return the SHA-256 of each interaction."""
    return [
        sha256(line).digest()
        for line in lines
        if not is_attachment_line(line) and not is_conversation_line(line)
    ]
