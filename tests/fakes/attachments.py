"""A store of attachments in memory, which a test can switch off."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.attachments import AttachmentReferences, AttachmentStore, StoredContent


class InMemoryAttachments(AttachmentStore):
    """Contents and references in dictionaries.

    Attributes:
        is_away: Every call fails.
        is_silent: No `put` ever returns.
        kept: The contents, by user and id.
        references_of: The ids of interactions, by user and id of the content.
    """

    def __init__(self) -> None:
        self.is_away = False
        self.is_silent = False
        self.kept: dict[tuple[str, str], StoredContent] = {}
        self.references_of: dict[tuple[str, str], set[str]] = {}

    def admit(self, size_bytes: int) -> None:
        if self.is_away:
            raise HistoryUnavailable("away")

    async def put(
        self, user_id: str, attachment_id: str, content: StoredContent, *, interaction_id: str
    ) -> bool:
        self.admit(len(content.content))
        if self.is_silent:
            await asyncio.Event().wait()
        is_new = (user_id, attachment_id) not in self.kept
        self.kept.setdefault((user_id, attachment_id), content)
        self.references_of.setdefault((user_id, attachment_id), set()).add(interaction_id)
        return is_new

    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        self._read()
        return self.kept.get((user_id, attachment_id))

    async def release(
        self, user_id: str, interaction_id: str, attachment_ids: Sequence[str]
    ) -> None:
        self._read()
        for attachment_id in attachment_ids:
            self._keep(user_id, attachment_id, lambda reference: reference != interaction_id)

    async def release_all(self, user_id: str, until_id: str) -> None:
        self._read()
        for owner, attachment_id in list(self.kept):
            if owner == user_id:
                self._keep(user_id, attachment_id, lambda reference: reference > until_id)

    async def references(self) -> AsyncIterator[AttachmentReferences]:
        self._read()
        for (user_id, attachment_id), references in list(self.references_of.items()):
            yield AttachmentReferences(
                user_id=user_id, attachment_id=attachment_id, interaction_ids=sorted(references)
            )

    def _read(self) -> None:
        if self.is_away:
            raise HistoryUnreadable("away")

    def _keep(self, user_id: str, attachment_id: str, is_kept: Callable[[str], bool]) -> None:
        name = (user_id, attachment_id)
        left = {reference for reference in self.references_of.get(name, ()) if is_kept(reference)}
        if left:
            self.references_of[name] = left
        else:
            self.references_of.pop(name, None)
            self.kept.pop(name, None)
