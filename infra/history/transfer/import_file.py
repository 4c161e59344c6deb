"""A file of exported interactions, attachments and records of conversations, as the source of an import."""

from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from domain.entities.checksum import EMPTY_CHECKSUM
from domain.entities.conversation import ConversationRecord
from domain.entities.copy_progress import Batch, CopyProgress, Position
from domain.entities.stored_record import InteractionKey, Record
from domain.interfaces.attachments import ContentReader, StoredContent
from domain.use_cases.copy_history import CopySource
from infra.history.transfer.attachment_lines import is_attachment_line, read_attachment
from infra.history.transfer.conversation_lines import is_conversation_line, read_conversation
from infra.history.transfer.jsonl_format import InvalidLine, read_line
from infra.history.transfer.record_contents import content_ids_of, without_long_texts

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Far above the longest interaction and attachment: a longer line is neither, and would fill the memory."""
LOOKED_AT_ONCE = 1000
MAX_BATCH_BYTES = 32 * 1024 * 1024


class InteractionFile(CopySource, ContentReader):
    """Lines of JSON, one interaction, attachment or record of a conversation each; blank lines are skipped.

    Only the positions of attachments are kept in memory; `get` reads them again.
    """

    def __init__(
        self,
        path: Path,
        skip: Callable[[int, str], None] | None,
        *,
        are_texts_apart: bool = False,
    ) -> None:
        """Read `path`.

        Args:
            path: A file in the format of `export`.
            skip: Called with the number of each invalid line and the reason; None stops at the first.
            are_texts_apart: Whether long texts are taken out of the records, as contents of their own.
        """
        self._path = path
        self._skip = skip
        self._are_texts_apart = are_texts_apart
        self._offsets: dict[str, int] = {}
        self._skipped_bytes = 0

    async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        """Yield the batches after `after`.

        Raises:
            InvalidLine: A line is invalid and `skip` is None; nothing of its batch was yielded.
            OSError: The file cannot be read.
        """
        whole = self._path.stat().st_size
        self._skipped_bytes = after.offset_bytes
        with self._path.open("rb") as file:
            file.seek(after.offset_bytes)
            while batch := self._batch(file, after, at_most, whole):
                yield batch
                after = batch.position

    async def looked_through(
        self, progress: Callable[[int, int], None], first_kept_id: str = ""
    ) -> CopyProgress:
        """Read the whole file and return its totals, without interactions below `first_kept_id`.

        Raises:
            InvalidLine: A line is invalid and `skip` is None.
            OSError: The file cannot be read.
        """
        source, expired, invalid = EMPTY_CHECKSUM, 0, 0
        async for batch in self.batches(Position(), LOOKED_AT_ONCE):
            kept = batch.without_expired(first_kept_id)
            source = source.plus(kept.digests)
            expired += len(batch.records) - len(kept.records)
            invalid += batch.invalid
            progress(batch.done, batch.total)
        return CopyProgress(source=source, expired=expired, invalid=invalid)

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        """Return an attachment of a line that was read, or of one before those; None if there is none.

        Raises:
            OSError: The file cannot be read.
        """
        if attachment_id not in self._offsets and self._skipped_bytes:
            self._find_attachments(self._skipped_bytes)
            self._skipped_bytes = 0
        offset = self._offsets.get(attachment_id)
        if offset is None:
            return None
        with self._path.open("rb") as file:
            file.seek(offset)
            attachment = read_attachment(_text_of(file.readline(MAX_LINE_BYTES), offset))
        return attachment.content if attachment.user_id == user_id else None

    def has_attachments(self) -> bool:
        """Return whether the file holds an attachment.

        Raises:
            OSError: The file cannot be read.
        """
        return self._find_attachments(None)

    def fingerprint(self) -> str:
        """Return an identifier of this file in its present state.

        Raises:
            OSError: There is none.
        """
        there = self._path.stat()
        return f"{self._path.resolve()} {there.st_ino} {there.st_size} {there.st_mtime_ns}"

    def _batch(self, file: BinaryIO, after: Position, at_most: int, whole: int) -> Batch | None:
        """Return the next batch; None at the end."""
        records: list[Record] = []
        digests: list[bytes] = []
        content_ids: dict[InteractionKey, Sequence[str]] = {}
        texts: dict[str, bytes] = {}
        conversations: list[ConversationRecord] = []
        last_key: InteractionKey | None = after.last_key
        number, offset, invalid = after.line, after.offset_bytes, 0
        while len(records) < at_most and offset - after.offset_bytes < MAX_BATCH_BYTES:
            line = file.readline(MAX_LINE_BYTES)
            if not line:
                break
            number += 1
            offset += len(line)
            if line.isspace():
                continue
            try:
                if len(line) == MAX_LINE_BYTES:
                    raise InvalidLine("longer than any interaction is")
                start = offset - len(line)
                text = _text_of(line, start)
                if is_attachment_line(text):
                    self._offsets[read_attachment(text).id] = start
                    continue
                if is_conversation_line(text):
                    conversations.append(read_conversation(text))
                    continue
                record, canonical = read_line(text)
            except InvalidLine as error:
                offset += _pass_over_rest(file, line)
                if self._skip is None:
                    raise InvalidLine(f"line {number}: {error}") from error
                self._skip(number, str(error))
                invalid += 1
                continue
            if self._are_texts_apart:
                record, texts_of_record = without_long_texts(record)
                texts.update(texts_of_record)
            if ids := content_ids_of(record):
                content_ids[record.key] = (*content_ids.get(record.key, ()), *ids)
            records.append(record)
            digests.append(sha256(canonical).digest())
            last_key = record.key
        if offset == after.offset_bytes:
            return None
        return Batch(
            records=records,
            digests=digests,
            content_ids=content_ids,
            texts=texts,
            conversations=conversations,
            position=Position(last_key=last_key, offset_bytes=offset, line=number),
            invalid=invalid,
            done=offset,
            total=whole,
        )

    def _find_attachments(self, before: int | None) -> bool:
        """Note the positions of the attachments before an offset; None ends at the first attachment. Return whether there is one."""
        offset = 0
        with self._path.open("rb") as file:
            while (before is None or offset < before) and (line := file.readline(MAX_LINE_BYTES)):
                text = _text_of(line, offset)
                if is_attachment_line(text):
                    if before is None:
                        return True
                    with suppress(InvalidLine):  # it was named when it was skipped
                        self._offsets[read_attachment(text).id] = offset
                offset += len(line)
                if len(line) == MAX_LINE_BYTES:
                    offset += _pass_over_rest(file, line)
        return bool(self._offsets)


def _text_of(line: bytes, offset: int) -> bytes:
    """Return a line without the byte order mark that some editors and shells write at the start of a file."""
    return line if offset else line.removeprefix(BOM_UTF8)


def _pass_over_rest(file: BinaryIO, line: bytes) -> int:
    """Read to the end of a partly read line, and return the number of bytes."""
    passed = 0
    while line and not line.endswith(b"\n"):
        line = file.readline(MAX_LINE_BYTES)
        passed += len(line)
    return passed
