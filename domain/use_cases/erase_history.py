"""Delete one interaction, or all of a user's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from domain.entities.background.answer import AnswerKey
from domain.exceptions import (
    HistoryDamaged,
    HistoryUnavailable,
    HistoryUnreadable,
    IdempotencyUnavailable,
)
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.conversation_records import ConversationRecords
from domain.interfaces.history import HistoryRepository
from domain.interfaces.idempotency import IdempotencyStore


@dataclass(frozen=True, slots=True)
class EraseHistory:
    """Erases interactions with their idempotency records; writes that are still in progress are discarded.

    Attributes:
        idempotency_store: Holds the idempotency records of the interactions.
        attachments: Holds the contents that the interactions refer to; None without any.
        records: Holds the records of conversations, which `all` erases too; None without any.
        answer_log: Holds the events of background answers; None without any.
        new_id: Returns an id greater than all earlier ones of this process; its time is the bound of `all`.
    """

    history: HistoryRepository
    idempotency_store: IdempotencyStore
    new_id: Callable[[], str]
    attachments: AttachmentStore | None = None
    records: ConversationRecords | None = None
    answer_log: AnswerLog | None = None

    async def one(self, user_id: str, interaction_id: str) -> None:
        """Erase one interaction; no-op if there is none.

        Raises:
            HistoryUnreadable: The store is unavailable; nothing was erased.
        """
        # The record first: a record without its interaction would repeat the request under an erased id.
        with _as_one_store():
            await self.idempotency_store.forget_interaction(user_id, interaction_id)
        erased = None
        if self.attachments is not None:
            # a sweep releases the contents of an interaction that cannot be read
            with suppress(HistoryDamaged):
                erased = await self.history.find(user_id, interaction_id)
        await self.history.erase(user_id, interaction_id)
        if self.answer_log is not None:
            with _as_one_store():
                await self.answer_log.erase(
                    AnswerKey(user_id=user_id, interaction_id=interaction_id)
                )
        if self.attachments is not None and erased is not None and (ids := erased.content_ids):
            await self.attachments.release(user_id, interaction_id, ids)

    async def all(self, user_id: str) -> int:
        """Erase all interactions up to now and return their number.

        Raises:
            HistoryUnreadable: The store is unavailable; the erasure may be partial. A retry completes it.
        """
        # One bound for both: requests that begin after it keep their record and their interaction.
        until_id = self.new_id()
        with _as_one_store():
            await self.idempotency_store.forget_user(user_id, until_id)
        erased = await self.history.erase_all(user_id, until_id)
        # A chat that began before the bound may have claimed its key meanwhile.
        with _as_one_store():
            await self.idempotency_store.forget_user(user_id, until_id)
        if self.answer_log is not None:
            with _as_one_store():
                await self.answer_log.erase_all(user_id, until_id)
        if self.attachments is not None:
            await self.attachments.release_all(user_id, until_id)
        if self.records is not None:
            await self.records.erase_all(user_id, until_id)
        return erased


@contextmanager
def _as_one_store() -> Iterator[None]:
    """Report unavailable idempotency records and logs as unavailable history; callers do not distinguish them."""
    try:
        yield
    except IdempotencyUnavailable as exc:
        raise HistoryUnreadable("keys cannot be erased") from exc
    except HistoryUnavailable as exc:
        raise HistoryUnreadable("the events of answers cannot be erased") from exc
