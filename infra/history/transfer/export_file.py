"""Writes a store, or one user's part of it, to a file of JSON lines."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from hashlib import sha256
from os import fsync
from pathlib import Path

import orjson

from domain.entities.checksum import EMPTY_CHECKSUM, Checksum
from domain.entities.stored_record import InteractionKey
from domain.interfaces.history_archive import ArchiveReader
from infra.history.format.documents import UnreadableDocument
from infra.history.transfer.jsonl_format import line_of
from infra.storage.private_files import make_private_file, sync_folder

_LINES_AT_ONCE = 1000
_RESUMABLE_SECONDS = 24 * 3600
"""Age above which an interrupted export starts anew: interactions in it may have been erased since."""


class ExportFailed(Exception):
    """No file was written; the text is one line for the operator."""


async def export_to(
    target: Path,
    store: ArchiveReader,
    *,
    store_name: str,
    user_id: str | None,
    overwrite: bool,
    progress: Callable[[int, int], None],
    first_kept_id: str = "",
) -> Checksum:
    """Write every interaction as a line to `target`, at constant memory, and read the file back.

    `target` appears when it is complete. An interrupted export resumes.

    Args:
        target: Created with mode 0600.
        store: May be in use; concurrent writes may be included or not.
        store_name: Identifies the store.
        user_id: Exports only this user's interactions.
        overwrite: Whether an existing file at `target` is replaced.
        progress: Called with the number written and the approximate total.
        first_kept_id: Interactions below this id have expired and are omitted.

    Raises:
        ExportFailed: `target` exists, cannot be written, or does not read back as written.
        HistoryUnreadable: The store cannot be read; the next export resumes.
    """
    target = _resolved(target)
    _refuse_existing(target, overwrite=overwrite)
    partial = _partial_of(target, store_name, user_id)
    try:
        summed, last = _resume(partial)
        whole = 0 if user_id is not None else await store.estimated_count()
        with partial.open("ab") as file:
            async with aclosing(store.pages(last, user_id=user_id)) as pages:
                async for page in pages:
                    lines = [
                        line_of(record)
                        for record in page.records
                        if record.key.interaction_id >= first_kept_id
                    ]
                    file.writelines(line + b"\n" for line in lines)
                    summed = summed.plus(_digests(lines))
                    progress(summed.count, max(whole, summed.count))
            file.flush()
            fsync(file.fileno())
        if _sum_of(partial) != summed:
            partial.unlink()
            raise ExportFailed(f"{target} does not hold what was written to it: look at the disk")
        partial.replace(target)
        sync_folder(target.parent)
    except OSError as exc:
        raise ExportFailed(f"{target} cannot be written: {exc.strerror}") from exc
    except UnreadableDocument as exc:
        raise ExportFailed(f"the store holds {exc}: export with the version that wrote it") from exc
    return summed


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


def _resume(partial: Path) -> tuple[Checksum, InteractionKey | None]:
    """Return the checksum and the last key of an interrupted export, after cutting off an incomplete last line."""
    if partial.exists() and time.time() - partial.stat().st_mtime > _RESUMABLE_SECONDS:
        partial.unlink()
    make_private_file(partial)
    summed, last_line, size_bytes = EMPTY_CHECKSUM, b"", 0
    for lines in _lines_of(partial):
        summed = summed.plus(_digests(lines))
        size_bytes += sum(len(line) + 1 for line in lines)
        last_line = lines[-1]
    with partial.open("r+b") as file:
        file.truncate(size_bytes)
    if not last_line:
        return EMPTY_CHECKSUM, None
    interaction = orjson.loads(last_line)
    return summed, InteractionKey(interaction["userId"], interaction["id"])


def _sum_of(file: Path) -> Checksum:
    summed = EMPTY_CHECKSUM
    for lines in _lines_of(file):
        summed = summed.plus(_digests(lines))
    return summed


def _lines_of(path: Path) -> Iterator[Sequence[bytes]]:
    """Yield the complete lines of a file in groups, without line ends."""
    some: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            some.append(line[:-1])
            if len(some) == _LINES_AT_ONCE:
                yield some
                some = []
    if some:
        yield some


def _digests(lines: Sequence[bytes]) -> list[bytes]:
    return [sha256(line).digest() for line in lines]
