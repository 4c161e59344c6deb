"""History with SQS in front of the store."""

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


def _always(_: Interaction) -> bool:
    return True


def _never(_: Interaction) -> bool:
    return False


def is_turn_of_conversation(interaction: Interaction) -> bool:
    """Return whether the next turn of its conversation reads an interaction."""
    return interaction.conversation_id is not None


class SqsHistory(HistoryRepository):
    """`append` returns when SQS has the interaction; after 600 ms without SQS it uses the history behind the queue.

    A worker moves interactions from the queue to the store, so that they become readable a moment later. Reads and
    erasures go to the history behind the queue: an outbox or the store itself. An outbox takes interactions that are read
    soon, and sends them to the queue later.
    """

    def __init__(
        self,
        sender: SqsSender,
        behind: HistoryRepository,
        *,
        end_marker: Callable[[str], None] | None = None,
        traceparent: Callable[[], str | None] = lambda: None,
        patience_seconds: float = PATIENCE_SECONDS,
        is_direct: Callable[[Interaction], bool] = _always,
        is_read_soon: Callable[[Interaction], bool] = _never,
    ) -> None:
        """Put a queue in front of a history.

        Args:
            sender: Sends to the queue.
            behind: The history for reads, start markers, and interactions that the queue does not accept.
            end_marker: Removes the start marker of an interaction that was sent to the queue.
            traceparent: Returns the current span.
            patience_seconds: Time limit of an append to the queue.
            is_direct: Whether an interaction may go to the queue at once; others go to the history behind it.
            is_read_soon: Whether an interaction goes to the history behind the queue first, and to the queue only if
                that does not accept it.
        """
        self._patience_seconds = patience_seconds
        self._sender = sender
        self._behind = behind
        self._end_marker = end_marker
        self._traceparent = traceparent
        self._is_direct = is_direct
        self._is_read_soon = is_read_soon

    def admit(self) -> None:
        if self._sender.reachability.is_away:
            self._behind.admit()

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        self._behind.begin(
            interaction_id, user_id, interrupted, lost_after_seconds=lost_after_seconds
        )

    async def append(self, interaction: Interaction) -> None:
        if self._is_read_soon(interaction) and await self._is_stored_behind(interaction):
            return
        if not await self._is_queued(interaction):
            await self._behind.append(interaction)
        elif self._end_marker is not None:
            self._end_marker(interaction.id)

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        await asyncio.gather(*(self.append(interaction) for interaction in interactions))

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

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        return await self._behind.wait_for(user_id, interaction_id, seconds=seconds)

    async def erase(self, user_id: str, interaction_id: str) -> None:
        await self._behind.erase(user_id, interaction_id)

    async def erase_all(self, user_id: str, until_id: str) -> int:
        return await self._behind.erase_all(user_id, until_id)

    async def _is_stored_behind(self, interaction: Interaction) -> bool:
        try:
            await self._behind.append(interaction)
        except HistoryUnavailable:  # its disk is full, for example
            return False
        return True

    async def _is_queued(self, interaction: Interaction) -> bool:
        if self._sender.reachability.is_away or not self._is_direct(interaction):
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
    """The target of an outbox when a queue is configured before the store."""

    def __init__(self, sender: SqsSender, store: Sink) -> None:
        """Send to the queue, and write interactions that it does not accept to the store."""
        self._sender = sender
        self._store = store

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        refused = [
            interaction
            for interaction, is_taken in zip(
                interactions,
                await asyncio.gather(
                    *(self._is_taken(interaction) for interaction in interactions)
                ),
                strict=True,
            )
            if not is_taken
        ]
        if refused:
            await self._store.append_many(refused)

    async def _is_taken(self, interaction: Interaction) -> bool:
        """Return whether the queue accepts the interaction; raise `HistoryUnavailable` when it does not answer."""
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
    """Two senders to one queue, so that chats do not wait behind a backlog.

    Attributes:
        chats: Has a short time limit.
        backlog: Has a long time limit.
    """

    chats: SqsSender
    backlog: SqsSender


@asynccontextmanager
async def open_senders(
    access: AwsAccess, names: SqsNames, *, clock: Clock, try_seconds: float = TRY_SECONDS
) -> AsyncIterator[Senders]:
    """Open a queue for sending; it need not be reachable yet. An emulator's is created if missing.

    Args:
        access: Endpoint, region and credentials.
        names: The queue and the dead-letter queue.
        clock: For pauses.
        try_seconds: Time limit of one call for a chat.

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
            # so that the first chat does not wait for credentials and a connection
            await asyncio.gather(chats.look(), backlog.look())
        async with running_tasks(*works):
            yield Senders(chats=chats, backlog=backlog)
            await chats.drain()
            await backlog.drain()
