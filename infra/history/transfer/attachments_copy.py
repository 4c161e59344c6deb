"""Copies the attachments of the embedded store while the service uses them."""

from collections.abc import Callable
from pathlib import Path

from domain.entities.items import attachment_id
from domain.exceptions import HistoryDamaged
from infra.attachments.disk_files import AttachmentFiles


class AttachmentsCopy:
    """A copy in a folder of its own, which is created with the first attachment. All methods block.

    Attributes:
        size_bytes: Of the contents that were copied.
        count: Number of contents that were copied.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self._source = AttachmentFiles(source)
        self._target = AttachmentFiles(target)
        self.size_bytes = 0
        self.count = 0

    def add_new(self, progress: Callable[[int], None] = lambda _count: None) -> None:
        """Copy all attachments and references that are not in the copy yet, one content at a time.

        Args:
            progress: Called with the number of contents copied so far.

        Raises:
            HistoryDamaged: A content is not what was stored.
            OSError: A file cannot be read or written.
        """
        for user_id in self._source.users():
            copied = {
                found.attachment_id: frozenset(found.interaction_ids)
                for found in self._target.references(user_id)
            }
            for found in self._source.references(user_id):
                there = copied.get(found.attachment_id, frozenset())
                if new_ids := [each for each in found.interaction_ids if each not in there]:
                    self._add(user_id, found.attachment_id, new_ids)
                    progress(self.count)

    def _add(self, user_id: str, content_id: str, interaction_ids: list[str]) -> None:
        content = self._source.get(user_id, content_id)
        if content is None:
            return  # it was erased meanwhile
        if attachment_id(user_id, content.content) != content_id:
            raise HistoryDamaged("an attachment is not what was stored")
        if self._target.get(user_id, content_id) is None:
            self.count += 1
            self.size_bytes += len(content.content)
        for interaction_id in interaction_ids:
            self._target.put(user_id, content_id, content, interaction_id)
