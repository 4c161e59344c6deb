"""History through SQS: a queue in front of a store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction
from domain.entities.statistics import Group, StatisticsQuery
from domain.exceptions import HistoryUnavailable
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository
from infra.history.sqlite.outbox.relay import Sink
from infra.history.sqs.envelope import message_of
from infra.history.sqs.queue_setup import SqsNames, keep_making_queues, try_to_make_queues
from infra.history.sqs.sender import MessageRefused, SqsSender
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import open_client
from infra.tasks.supervised import Work, running_tasks

TRY_SECONDS = 0.3
PATIENCE_SECONDS = 2 * TRY_SECONDS
BACKLOG_TRY_SECONDS = 5.0


class SqsHistory(HistoryRepository):
    """`append` returns when SQS has the interaction; what SQS does not take in 600 ms goes to what stands behind.

    A worker carries it from the queue to the store: it can be read a moment later. Reading and erasing is left to
    what stands behind: an outbox, or the store itself.
    """

    def __init__(
        self,
        sender: SqsSender,
        behind: HistoryRepository,
        *,
        end_marker: Callable[[str], None] | None = None,
        traceparent: Callable[[], str | None] = lambda: None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Put a queue before a history.

        Args:
            sender: To the queue.
            behind: Keeps start markers and what the queue does not take; is read.
            end_marker: Tells `behind` that the outcome of an interaction it noted as begun is kept elsewhere.
            traceparent: Returns what names the span an append is made in.
            patience_seconds: How long an append waits for the queue.
        """
        self._patience_seconds = patience_seconds
        self._sender = sender
        self._behind = behind
        self._end_marker = end_marker
        self._traceparent = traceparent

    def admit(self) -> None:
        if self._sender.reachability.is_away:
            self._behind.admit()

    def begin(self, interaction: Interaction, *, lost_after_seconds: float) -> None:
        self._behind.begin(interaction, lost_after_seconds=lost_after_seconds)

    async def append(self, interaction: Interaction) -> None:
        if not await self._is_queued(interaction):
            await self._behind.append(interaction)
        elif self._end_marker is not None:
            self._end_marker(interaction.id)

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        await asyncio.gather(*(self.append(one) for one in interactions))

    async def search(self, query: HistoryQuery) -> Page:
        return await self._behind.search(query)

    async def recall(self, query: HistoryQuery) -> Page:
        return await self._behind.recall(query)

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        return await self._behind.conversations(query)

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        return await self._behind.statistics(query)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        return await self._behind.find(user_id, interaction_id)

    async def erase(self, user_id: str, interaction_id: str) -> None:
        await self._behind.erase(user_id, interaction_id)

    async def erase_all(self, user_id: str, until_id: str) -> int:
        return await self._behind.erase_all(user_id, until_id)

    async def _is_queued(self, interaction: Interaction) -> bool:
        if self._sender.reachability.is_away:
            return False
        message = await message_of(interaction)
        if message is None or len(message) > self._sender.max_message_bytes:
            return False
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._sender.send(message, traceparent=self._traceparent())
        except (HistoryUnavailable, MessageRefused, TimeoutError):
            return False
        return True


class SqsSink(Sink):
    """Where an outbox delivers to when a queue stands before the store."""

    def __init__(self, sender: SqsSender, store: Sink) -> None:
        """Send what the queue takes, and give the rest to the store."""
        self._sender = sender
        self._store = store

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        refused = [
            interaction
            for interaction, is_taken in zip(
                interactions,
                await asyncio.gather(*(self._is_taken(one) for one in interactions)),
                strict=True,
            )
            if not is_taken
        ]
        if refused:
            await self._store.append_many(refused)

    async def _is_taken(self, interaction: Interaction) -> bool:
        """Return whether the queue takes it at all; raises `HistoryUnavailable` when that cannot be told now."""
        message = await message_of(interaction)
        if message is None or len(message) > self._sender.max_message_bytes:
            return False
        try:
            await self._sender.send(message)
        except MessageRefused:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    """Two ways to one queue, so that a backlog never stands before a chat.

    Attributes:
        chats: Gives up soon: somebody waits for the answer.
        backlog: Takes its time.
    """

    chats: SqsSender
    backlog: SqsSender


@asynccontextmanager
async def open_senders(
    access: AwsAccess, names: SqsNames, *, clock: Clock, try_seconds: float = TRY_SECONDS
) -> AsyncIterator[Senders]:
    """Send to a queue; that it cannot be reached yet is no error. An emulator's is made where it is missing.

    Args:
        access: Where and as whom.
        names: The queue, and the one for what cannot be stored.
        clock: For pauses.
        try_seconds: How long one call may take while a chat waits for it.

    Raises:
        ConfigurationError: No region is known.
    """
    async with open_client("sqs", names.reached_by(access), tries=1) as sqs:
        chats = SqsSender(sqs, names.queue_url, clock=clock, try_seconds=try_seconds)
        backlog = SqsSender(sqs, names.queue_url, clock=clock, try_seconds=BACKLOG_TRY_SECONDS)
        works: list[Work] = [chats.reachability.watch, backlog.reachability.watch]
        if access.is_emulator and not await try_to_make_queues(sqs, names):
            works.append(partial(keep_making_queues, sqs, names, clock))
            chats.reachability.leave()
        else:
            # so that no chat waits for credentials and a connection
            await asyncio.gather(chats.look(), backlog.look())
        async with running_tasks(*works):
            yield Senders(chats=chats, backlog=backlog)
            await chats.drain()
            await backlog.drain()
