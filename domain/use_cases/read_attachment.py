"""Read the content of one attachment."""

from dataclasses import dataclass

from domain.exceptions import NotFound
from domain.interfaces.attachments import AttachmentStore, StoredContent


@dataclass(frozen=True, slots=True)
class ReadAttachment:
    """Returns one of a user's attachments.

    Attributes:
        attachments: None if no store for attachments is configured.
    """

    attachments: AttachmentStore | None

    async def __call__(self, user_id: str, attachment_id: str) -> StoredContent:
        """Return the content, byte for byte.

        Raises:
            NotFound: This user has no such attachment.
            HistoryUnreadable: The store cannot be read.
        """
        if self.attachments is None:
            raise NotFound
        stored = await self.attachments.get(user_id, attachment_id)
        if stored is None:
            raise NotFound
        return stored
