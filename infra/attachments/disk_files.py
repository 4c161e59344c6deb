"""The files of attachments on disk, shared by the processes of one host.

    users/<user>/<attachment>/content          one line of JSON about the bytes, then the bytes
    users/<user>/<attachment>/<interaction>    an empty file for each reference
    incoming/<random>/                         an attachment while it is written
    erased/<random>/                           an attachment while it is deleted
    locks/<number>                             held while attachments of a user appear or disappear

A new attachment is renamed into its place together with its first reference, and renamed out of it together with its
last one, so that an interrupted process leaves neither a content without a reference nor the reverse.
"""

import json
import os
import secrets
import shutil
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from domain.entities.interaction import is_interaction_id
from domain.exceptions import HistoryDamaged
from domain.interfaces.attachments import AttachmentReferences, StoredContent
from infra.attachments.names import check_ids, is_attachment_id, name_of_user, user_of_name
from infra.storage.private_files import make_private_file, make_private_folder, sync_folder
from infra.storage.sqlite.file_lock import FileLock

ABANDONED_SECONDS = 3600.0
"""Age of an attachment in `incoming` above which its writer counts as dead."""
LOCK_SECONDS = 10.0
_LOCK_PAUSE_SECONDS = 0.002
_LOCKS = 64
_MOST_SYNCED = 10_000
_CONTENT = "content"


class AttachmentFiles:
    """The files in one folder, which is created with the first attachment. All methods block.

    Every method raises `OSError` if the disk fails.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._users = folder / "users"
        self._incoming = folder / "incoming"
        self._erased = folder / "erased"
        self._locks = folder / "locks"
        self._in_process = [threading.Lock() for _ in range(_LOCKS)]
        self._synced: OrderedDict[Path, tuple[int, int]] = OrderedDict()

    def put(
        self, user_id: str, attachment_id: str, content: StoredContent, interaction_id: str
    ) -> bool:
        """Store the content unless it is there, and the reference; return whether it was not, once both are on the disk."""
        check_ids(attachment_id, interaction_id)
        self._make_folders()
        place = self._place(user_id, attachment_id)
        with self._locked(user_id):
            if self._add(place, interaction_id):
                return False
        # Written without the lock, since this takes long.
        incoming = self._incoming / secrets.token_hex(16)
        try:
            _write(incoming, content, interaction_id)
            with self._locked(user_id):
                if self._add(place, interaction_id):
                    return False
                make_private_folder(place.parent)
                incoming.rename(place)
                sync_folder(place)
                self._sync_above(place)
                return True
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        """Return the content, or None.

        Raises:
            HistoryDamaged: The file is not complete.
        """
        if not is_attachment_id(attachment_id):
            return None
        try:
            file = (self._place(user_id, attachment_id) / _CONTENT).open("rb")
        except FileNotFoundError:
            return None
        with file:
            try:
                head = json.loads(file.readline())
                media_type, size_bytes = str(head["mediaType"]), head["bytes"]
            except (ValueError, KeyError, TypeError) as exc:
                raise HistoryDamaged("an attachment cannot be read") from exc
            content = file.read()
        if len(content) != size_bytes:
            raise HistoryDamaged("an attachment is not complete")
        return StoredContent(media_type=media_type, content=content)

    def release(self, user_id: str, attachment_id: str, is_released: Callable[[str], bool]) -> None:
        """Remove the references for which `is_released`, and the content without any other."""
        place = self._place(user_id, attachment_id)
        if not is_attachment_id(attachment_id) or not _exists(place):
            return
        self._make_folders()
        erased = self._erased / secrets.token_hex(16)
        with self._locked(user_id):
            found = _references(place)
            released = [reference for reference in found if is_released(reference)]
            if len(released) < len(found):
                for reference in released:
                    (place / reference).unlink(missing_ok=True)
                if released:
                    sync_folder(place)
                return
            with suppress(FileNotFoundError):
                place.rename(erased)
            with suppress(OSError):  # others of the user are there
                place.parent.rmdir()
            if _exists(place.parent):
                sync_folder(place.parent)
            sync_folder(self._users)
        shutil.rmtree(erased, ignore_errors=True)

    def users(self) -> Sequence[str]:
        """Return the users who have attachments."""
        found = []
        for name in _names(self._users):
            with suppress(ValueError):
                found.append(user_of_name(name))
        return found

    def references(self, user_id: str) -> Sequence[AttachmentReferences]:
        """Return the attachments of a user."""
        folder = self._users / name_of_user(user_id)
        return [
            AttachmentReferences(
                user_id=user_id, attachment_id=name, interaction_ids=_references(folder / name)
            )
            for name in _names(folder)
            if is_attachment_id(name)
        ]

    def clean(self) -> None:
        """Delete unfinished files of interrupted processes."""
        for name in _names(self._erased):
            shutil.rmtree(self._erased / name, ignore_errors=True)
        for name in _names(self._incoming):
            with suppress(FileNotFoundError):
                folder = self._incoming / name
                if time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)

    def try_to_write(self) -> None:
        """Write and delete a small file."""
        self._make_folders()
        incoming = self._incoming / secrets.token_hex(16)
        try:
            _write(incoming, StoredContent(media_type="", content=bytes(4096)), "probe")
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def free_bytes(self) -> int:
        """Return the free space on the disk."""
        folder = self._folder
        while not _exists(folder) and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def _place(self, user_id: str, attachment_id: str) -> Path:
        return self._users / name_of_user(user_id) / attachment_id

    def _make_folders(self) -> None:
        make_private_folder(self._folder.parent)
        # Each of them: copying a folder with a tool that omits empty ones leaves out some.
        for folder in (self._folder, self._incoming, self._erased, self._locks, self._users):
            if not _exists(folder):
                make_private_folder(folder)
                sync_folder(folder.parent)

    def _add(self, place: Path, interaction_id: str) -> bool:
        """Add a reference to a stored attachment; return whether there is one."""
        try:
            descriptor = os.open(place / interaction_id, os.O_CREAT | os.O_WRONLY, 0o600)
        except FileNotFoundError:
            return False
        os.close(descriptor)
        sync_folder(place)
        self._sync_above(place)  # its writer may have ended before it did
        return True

    def _sync_above(self, place: Path) -> None:
        """Sync the folders above an attachment, unless this process did so since the attachment was written."""
        written = (place / _CONTENT).stat()
        version = written.st_ino, written.st_ctime_ns
        if self._synced.get(place) == version:
            return
        for folder in (place.parent, self._users):
            sync_folder(folder)
        self._synced[place] = version
        while len(self._synced) > _MOST_SYNCED:
            self._synced.popitem(last=False)

    @contextmanager
    def _locked(self, user_id: str) -> Iterator[None]:
        number = zlib.crc32(user_id.encode()) % _LOCKS
        deadline = time.monotonic() + LOCK_SECONDS
        # Threads wait without polling; only other processes are polled.
        if not self._in_process[number].acquire(timeout=LOCK_SECONDS):
            raise TimeoutError("another thread holds the lock of a user's attachments")
        try:
            while (lock := FileLock.try_to_acquire(self._locks / f"{number:02}")) is None:
                if time.monotonic() > deadline:
                    raise TimeoutError("another process holds the lock of a user's attachments")
                time.sleep(_LOCK_PAUSE_SECONDS)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._in_process[number].release()


def _write(folder: Path, content: StoredContent, interaction_id: str) -> None:
    """Write an attachment with one reference into a new folder, and sync it."""
    make_private_folder(folder)
    head = {"mediaType": content.media_type, "bytes": len(content.content)}
    descriptor = os.open(folder / _CONTENT, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        file.write(content.content)
        file.flush()
        os.fsync(file.fileno())
    make_private_file(folder / interaction_id)


def _exists(folder: Path) -> bool:
    """Return whether a folder exists; `Path.is_dir` would take some errors of the disk for a no."""
    try:
        folder.stat()
    except FileNotFoundError:
        return False
    return True


def _references(place: Path) -> list[str]:
    return [name for name in _names(place) if is_interaction_id(name)]


def _names(folder: Path) -> list[str]:
    """Return the names in a folder; none if it does not exist."""
    try:
        return sorted([path.name for path in folder.iterdir()])
    except (FileNotFoundError, NotADirectoryError):
        return []
