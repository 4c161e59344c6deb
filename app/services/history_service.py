"""Reads, exports and erases history on behalf of a caller."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from domain.entities.caller import Caller, Scope
from domain.entities.conversation import ConversationQuery
from domain.entities.history_query import HistoryQuery
from domain.entities.interaction import Interaction
from domain.entities.result_page import ConversationResultPage, HistoryResultPage
from domain.entities.statistics import Group, StatisticsQuery
from domain.interfaces.attachments import StoredContent
from domain.interfaces.cursor_codec import CursorCodec
from domain.use_cases.erase_history import EraseHistory
from domain.use_cases.export_history import ExportHistory
from domain.use_cases.list_conversations import ListConversations
from domain.use_cases.read_attachment import ReadAttachment
from domain.use_cases.read_interaction import ReadInteraction
from domain.use_cases.search_history import SearchHistory
from domain.use_cases.summarise_history import SummariseHistory


@dataclass(frozen=True, slots=True)
class HistoryService:
    """Checks permissions before the store is used; encodes and decodes page cursors."""

    search_history: SearchHistory
    read_interaction: ReadInteraction
    erase_history: EraseHistory
    list_conversations: ListConversations
    summarise_history: SummariseHistory
    export_history: ExportHistory
    cursors: CursorCodec
    read_attachment: ReadAttachment

    async def search(
        self,
        caller: Caller,
        query: HistoryQuery,
        *,
        cursor: str | None = None,
        with_id: str | None = None,
        wait_seconds: float = 0.0,
    ) -> HistoryResultPage:
        """Return one page of `query`, starting at `cursor`.

        Raises:
            Forbidden: The caller may not read the history of this user.
            InvalidCursor: The cursor belongs to another user, filter or order.
            HistoryUnreadable: The store cannot be read.
        """
        caller.require(Scope.HISTORY_READ, query.user_id)
        if cursor is not None:
            query = replace(query, after_id=self.cursors.decode(query, cursor))
        page, is_complete = await self.search_history(
            query, with_id=with_id, wait_seconds=wait_seconds
        )
        next_cursor = None if page.next_id is None else self.cursors.encode(query, page.next_id)
        return HistoryResultPage(page=page, next_cursor=next_cursor, is_complete=is_complete)

    async def attachment(self, caller: Caller, user_id: str, attachment_id: str) -> StoredContent:
        """Return the content of one of the user's attachments.

        Raises:
            Forbidden: The caller may not read the history of this user.
            NotFound: This user has no such attachment.
            HistoryUnreadable: The store cannot be read.
        """
        caller.require(Scope.HISTORY_READ, user_id)
        return await self.read_attachment(user_id, attachment_id)

    async def conversations(
        self, caller: Caller, query: ConversationQuery, *, cursor: str | None = None
    ) -> ConversationResultPage:
        """Return one page of `query`, starting at `cursor`.

        Raises:
            Forbidden: The caller may not read the history of this user.
            InvalidCursor: The cursor does not belong to the conversations of this user.
            HistoryUnreadable: The store cannot be read.
        """
        caller.require(Scope.HISTORY_READ, query.user_id)
        if cursor is not None:
            query = replace(query, after_id=self.cursors.decode(query, cursor))
        page = await self.list_conversations(query)
        next_cursor = None if page.next_id is None else self.cursors.encode(query, page.next_id)
        return ConversationResultPage(page=page, next_cursor=next_cursor)

    async def statistics(self, caller: Caller, query: StatisticsQuery) -> Sequence[Group]:
        """Return the groups of `query`, ordered by key; raises `Forbidden` or `HistoryUnreadable`."""
        caller.require(Scope.HISTORY_READ, query.user_id)
        return await self.summarise_history(query)

    def export(self, caller: Caller, user_id: str) -> AsyncGenerator[Sequence[Interaction], None]:
        """Return all interactions of the user in pages; raises `Forbidden` before the first page is read."""
        caller.require(Scope.HISTORY_EXPORT, user_id)
        return self.export_history(user_id)

    async def read(self, caller: Caller, user_id: str, interaction_id: str) -> Interaction:
        """Return one interaction; raises `Forbidden`, `NotFound` or `HistoryUnreadable`."""
        caller.require(Scope.HISTORY_READ, user_id)
        return await self.read_interaction(user_id, interaction_id)

    async def erase(self, caller: Caller, user_id: str, interaction_id: str) -> None:
        """Erase one interaction; no-op if there is none. Raises `Forbidden` or `HistoryUnreadable`."""
        caller.require(Scope.HISTORY_ERASE, user_id)
        await self.erase_history.one(user_id, interaction_id)

    async def erase_all(self, caller: Caller, user_id: str) -> int:
        """Erase all interactions of the user and return their number; raises `Forbidden` or `HistoryUnreadable`."""
        caller.require(Scope.HISTORY_ERASE, user_id)
        return await self.erase_history.all(user_id)
