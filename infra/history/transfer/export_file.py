"""Writes a store, or one user's part of it, to a file of JSON lines."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from hashlib import sha256
from os import fsync
from pathlib import Path

import orjson

from domain.entities.checksum import NOTHING_SUMMED, Checksum
from domain.entities.stored_record import InteractionKey
from domain.interfaces.history_archive import ArchiveReader
from infra.history.format.documents import UnreadableDocument
from infra.history.transfer.jsonl_format import line_of
from infra.storage.private_files import make_private_file, sync_folder

_LINES_AT_ONCE = 1000
_GONE_ON_SECONDS = 24 * 3600
"""An export that was interrupted longer ago starts anew: much of it may have been erased since."""


class ExportFailed(Exception):
    """There is no file; its text is one line for the operator."""


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

    Nothing is seen under `target` before it is whole. An export that was interrupted goes on where it was.

    Args:
        target: Made with mode 0600.
        store: May be in use; what comes meanwhile may be in it or not.
        store_name: Tells the store from others.
        user_id: Only this user's.
        overwrite: Whether a file that is already at `target` is replaced.
        progress: Told how many are written, and about how many there are.
        first_kept_id: What is below it has expired, and is left out.

    Raises:
        ExportFailed: Something is at `target`, it cannot be written, or what was written cannot be read back.
        HistoryUnreadable: The store cannot be read; what was written so far is gone on from the next time.
    """
    target = _whole_path(target)
    _refuse_taken(target, overwrite=overwrite)
    partial = _partial_of(target, store_name, user_id)
    try:
        summed, last = _taken_up(partial)
        whole = 0 if user_id is not None else await store.about_how_many()
        with partial.open("ab") as file:
            async with aclosing(store.pages(last, user_id=user_id)) as pages:
                async for page in pages:
                    lines = [
                        line_of(record)
                        for record in page.records
                        if record.place.interaction_id >= first_kept_id
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


def _whole_path(target: Path) -> Path:
    """Return where the lines really go: what a link leads to is replaced, not the link."""
    return target.resolve()


def _refuse_taken(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not target.is_file():
        raise ExportFailed(f"{target} is not a file: choose another name")
    if target.exists() and not overwrite:
        raise ExportFailed(f"{target} exists already: choose another name, or add --force")


def _partial_of(target: Path, store_name: str, user_id: str | None) -> Path:
    """Return where the lines are until all are there: an export of something else must not go on from them."""
    mark = sha256(orjson.dumps([store_name, user_id])).hexdigest()[:8]
    return target.with_name(f".{target.name}.{mark}.partial")


def _taken_up(partial: Path) -> tuple[Checksum, InteractionKey | None]:
    """Return what an interrupted export has written already and where it was, its last line cut off if it is not whole."""
    if partial.exists() and time.time() - partial.stat().st_mtime > _GONE_ON_SECONDS:
        partial.unlink()
    make_private_file(partial)
    summed, last_line, size_bytes = NOTHING_SUMMED, b"", 0
    for lines in _lines_of(partial):
        summed = summed.plus(_digests(lines))
        size_bytes += sum(len(line) + 1 for line in lines)
        last_line = lines[-1]
    with partial.open("r+b") as file:
        file.truncate(size_bytes)
    if not last_line:
        return NOTHING_SUMMED, None
    said = orjson.loads(last_line)
    return summed, InteractionKey(said["userId"], said["id"])


def _sum_of(file: Path) -> Checksum:
    summed = NOTHING_SUMMED
    for lines in _lines_of(file):
        summed = summed.plus(_digests(lines))
    return summed


def _lines_of(path: Path) -> Iterator[Sequence[bytes]]:
    """Yield the whole lines of a file, some at once, without their ends."""
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
