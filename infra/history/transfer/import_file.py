"""A file of exported interactions, as the source of an import."""

from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, Callable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from domain.entities.checksum import EMPTY_CHECKSUM
from domain.entities.copy_progress import Batch, CopyProgress, Position
from domain.entities.stored_record import InteractionKey, Record
from domain.use_cases.copy_history import CopySource
from infra.history.transfer.jsonl_format import InvalidLine, read_line

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Far above the longest interaction: a longer line is not one, and would fill the memory."""
LOOKED_AT_ONCE = 1000
MAX_BATCH_BYTES = 32 * 1024 * 1024


class InteractionFile(CopySource):
    """Lines of JSON, one interaction each; blank lines are skipped."""

    def __init__(self, path: Path, skip: Callable[[int, str], None] | None) -> None:
        """Read `path`.

        Args:
            path: A file in the format of `export`.
            skip: Called with the number of each invalid line and the reason; None stops at the first.
        """
        self._path = path
        self._skip = skip

    async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        """Yield the batches after `after`.

        Raises:
            InvalidLine: A line is invalid and `skip` is None; nothing of its batch was yielded.
            OSError: The file cannot be read.
        """
        whole = self._path.stat().st_size
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
                # some editors and shells write a byte order mark
                record, canonical = read_line(line if number > 1 else line.removeprefix(BOM_UTF8))
            except InvalidLine as error:
                offset += _pass_over_rest(file, line)
                if self._skip is None:
                    raise InvalidLine(f"line {number}: {error}") from error
                self._skip(number, str(error))
                invalid += 1
                continue
            records.append(record)
            digests.append(sha256(canonical).digest())
            last_key = record.key
        if offset == after.offset_bytes:
            return None
        return Batch(
            records=records,
            digests=digests,
            position=Position(last_key=last_key, offset_bytes=offset, line=number),
            invalid=invalid,
            done=offset,
            total=whole,
        )


def _pass_over_rest(file: BinaryIO, line: bytes) -> int:
    """Read to the end of a partly read line, and return the number of bytes."""
    passed = 0
    while line and not line.endswith(b"\n"):
        line = file.readline(MAX_LINE_BYTES)
        passed += len(line)
    return passed
