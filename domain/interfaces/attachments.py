"""Port for storing the bytes of images, documents and long contents."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContent:
    """The bytes of an attachment, with their media type."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentReferences:
    """The interactions that refer to one attachment of a user."""

    user_id: str
    attachment_id: str
    interaction_ids: Sequence[str]


class ContentReader(Protocol):
    """Reads contents by user and id."""

    @abstractmethod
    async def get(self, user_id: str, attachment_id: str) -> StoredContent | None:
        """Return the content, byte for byte; None if this user has no such attachment.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...


class AttachmentStore(ContentReader, Protocol):
    """Stores contents by the hash of user and content, each once per user, whatever the number of interactions that refer to it.

    An attachment exists while at least one reference does. A reference is the id of an interaction of the same user. It
    is added with the content before the interaction is stored, so an interaction never refers to nothing; a process
    that dies in between leaves a reference too many, which `SweepAttachments` removes.
    """

    @abstractmethod
    def admit(self, size_bytes: int) -> None:
        """Check, without waiting, that a `put` of so many bytes is expected to succeed.

        Raises:
            HistoryUnavailable: Nothing can be stored at the moment.
        """
        ...

    @abstractmethod
    async def put(
        self, user_id: str, attachment_id: str, content: StoredContent, *, interaction_id: str
    ) -> bool:
        """Store the content, if it is not stored yet, and the reference; return once both are durable.

        Returns whether the content was written, for metrics: two concurrent calls may both write it.

        Idempotent. Of the same content stored twice, the first media type stays.

        Raises:
            HistoryUnavailable: Not stored; a retry is safe.
        """
        ...

    @abstractmethod
    async def release(
        self, user_id: str, interaction_id: str, attachment_ids: Sequence[str]
    ) -> None:
        """Remove the references of one interaction, and contents without any other. Idempotent.

        Raises:
            HistoryUnreadable: The store is unavailable; some may have been removed.
        """
        ...

    @abstractmethod
    async def release_all(self, user_id: str, until_id: str) -> None:
        """Remove all references of the user's interactions with ids up to `until_id`, and contents without any other.

        Idempotent.

        Raises:
            HistoryUnreadable: The store is unavailable; some may have been removed.
        """
        ...

    @abstractmethod
    def references(self) -> AsyncIterator[AttachmentReferences]:
        """Yield all attachments of all users, each at least once; those added or removed meanwhile may be missing.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...
