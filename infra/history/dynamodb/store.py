"""The store of history in DynamoDB."""

import asyncio
import logging
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction, first_id_after
from domain.entities.statistics import Group, StatisticsQuery
from domain.entities.usage.report import UsageQuery, UsageSums
from domain.exceptions import (
    HistoryDamaged,
    HistoryError,
    HistoryUnavailable,
    HistoryUnreadable,
    Unstorable,
)
from domain.interfaces.clock import Clock
from infra.configuration import ConfigurationError
from infra.history.dynamodb.conversation_records import DynamoConversationRecords
from infra.history.dynamodb.conversations import conversations
from infra.history.dynamodb.item_reader import interactions_in
from infra.history.dynamodb.items import Row, key_of, row_of
from infra.history.dynamodb.pages import find_items, passes
from infra.history.dynamodb.schema import make_table
from infra.history.dynamodb.statistics import statistics
from infra.history.dynamodb.tombstones import (
    erase_all,
    erase_one,
    erased_among,
    first_living_id,
    remove_erased,
)
from infra.history.dynamodb.usage import usage
from infra.history.dynamodb.writes import insert
from infra.history.format.documents import UnreadableDocument, json_of
from infra.history.queries.word_filter import WordFilter
from infra.history.store.append_batcher import Batcher
from infra.history.store.durable_store import DurableStore
from infra.history.store.reachability import Reachability
from infra.history.store.retention import FOR_EVER, Retention
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import AwsClient, open_client
from infra.storage.aws.dynamodb_table import Table
from infra.storage.aws.errors import translate_errors
from infra.tasks.supervised import running_tasks

logger = logging.getLogger(__name__)

WRITE_SECONDS = 10.0
TRIES = 2
FAILURES_TO_BE_AWAY = 2
MAKE_TABLE_SECONDS = 1.0

_TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_PROBE = {"pk": {"S": "probe"}, "sk": {"S": "probe"}}


class DynamoHistory(DurableStore):
    """One table, with the layout described in `items.py`. Concurrent appends are batched."""

    def __init__(
        self,
        dynamodb: AwsClient,
        table: str,
        *,
        clock: Clock,
        read_seconds: float,
        retention: Retention = FOR_EVER,
    ) -> None:
        self.reachability = Reachability(
            "DynamoDB", self._probe, clock, failures=FAILURES_TO_BE_AWAY
        )
        self._dynamodb = dynamodb
        self._name = table
        self._clock = clock
        self._table = Table(dynamodb, table)
        self._read_seconds = read_seconds
        self._retention = retention
        self._batcher = Batcher(self.append_many)
        self.records = DynamoConversationRecords(
            self._table,
            clock,
            reading=self.reading,
            read_seconds=read_seconds,
            retention=retention,
        )

    @property
    def table(self) -> Table:
        """The table, for copies of the store."""
        return self._table

    def admit(self) -> None:
        if self.reachability.is_away:
            raise HistoryUnavailable("DynamoDB does not answer")

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        """No-op: a marker over the network would cost as much as the outcome; an outbox stores markers."""

    async def append(self, interaction: Interaction) -> None:
        await self._batcher.add(interaction)

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        if interactions:
            await self._insert(
                (interaction, partial(json_of, interaction)) for interaction in interactions
            )

    async def insert(self, bodies: Sequence[tuple[Interaction, bytes]]) -> None:
        """Write interactions by the rules of `append_many`, each with its stored JSON."""
        await self._insert((interaction, partial(_as_it_is, body)) for interaction, body in bodies)

    async def search(self, query: HistoryQuery) -> Page:
        with self.reading():
            async with asyncio.timeout(self._read_seconds):
                sifting = WordFilter(query)
                while True:
                    page = sifting.take(await self._page(sifting.query))
                    if page is not None:
                        return page

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        with self.reading():
            async with asyncio.timeout(self._read_seconds):
                living = await first_living_id(self._table, query.user_id)
                first_id = max(living, query.from_id)
                return await conversations(self._table, query, first_id)

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        with self.reading():
            async with asyncio.timeout(self._read_seconds):
                first_id = await first_living_id(self._table, query.user_id)
                return await statistics(self._table, query, first_id)

    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        with self.reading():
            async with asyncio.timeout(self._read_seconds):
                return await usage(self._table, query)

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        with self.reading():
            async with asyncio.timeout(self._read_seconds):
                answer, first_id = await asyncio.gather(
                    self._table.call(
                        "get_item", Key=key_of(user_id, interaction_id), ConsistentRead=True
                    ),
                    first_living_id(self._table, user_id),
                )
                found = await interactions_in(
                    self._table, [answer["Item"]] if "Item" in answer else []
                )
        return found[0] if found and interaction_id >= first_id else None

    async def erase(self, user_id: str, interaction_id: str) -> None:
        with translate_errors(HistoryUnreadable, "DynamoDB"):
            async with asyncio.timeout(WRITE_SECONDS):
                await erase_one(self._table, user_id, interaction_id)

    async def erase_all(self, user_id: str, until_id: str) -> int:
        before_id = first_id_after(until_id)
        with translate_errors(HistoryUnreadable, "DynamoDB"):
            return await erase_all(self._table, user_id, before_id)

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        with translate_errors(HistoryUnreadable, "DynamoDB"):
            async with asyncio.timeout(self._read_seconds):
                return frozenset(await erased_among(self._table, user_id, interaction_ids))

    async def drain(self) -> None:
        """Return once no append is pending."""
        await self._batcher.drain()

    async def try_to_make_table(self) -> bool:
        """Create the table in an emulator; return whether it exists."""
        try:
            async with asyncio.timeout(MAKE_TABLE_SECONDS):
                await make_table(self._dynamodb, self._name)
        except (BotoCoreError, ClientError, TimeoutError) as exc:
            logger.warning("the DynamoDB table cannot be created yet (%s)", type(exc).__name__)
            return False
        return True

    async def make_table(self) -> None:
        """Return once the table exists."""
        while not await self.try_to_make_table():
            await self._clock.sleep(MAKE_TABLE_SECONDS)

    async def _insert(self, written: Iterable[tuple[Interaction, Callable[[], bytes]]]) -> None:
        rows: list[Row] = []
        refused: Unstorable | None = None
        for interaction, body in written:
            try:
                rows.append(await row_of(interaction, body(), self._retention))
            except Unstorable as exc:
                refused = exc
        with self._noting(), translate_errors(HistoryUnavailable, "DynamoDB"):
            async with asyncio.timeout(WRITE_SECONDS):
                try:
                    await insert(self._table, rows)
                except Unstorable as exc:
                    # A valid row shows the cause: a table with other keys refuses that one too.
                    await self._table.call("put_item", Item=_PROBE)
                    refused = exc
                await remove_erased(self._table, rows)
        if refused is not None:
            raise refused

    async def _page(self, query: HistoryQuery) -> Page:
        (items, next_id), first_id = await asyncio.gather(
            find_items(self._table, query), first_living_id(self._table, query.user_id)
        )
        found = await interactions_in(self._table, items)
        return Page(
            interactions=[
                interaction
                for interaction in found
                if interaction.id >= first_id and passes(interaction, query.filter)
            ],
            next_id=next_id,
        )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Raise the errors of a read as `HistoryUnreadable`."""
        try:
            with translate_errors(HistoryUnreadable, "DynamoDB"):
                yield
        except (UnreadableDocument, zlib.error) as exc:
            raise HistoryDamaged("an item cannot be read") from exc

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except HistoryError:
            self.reachability.fail()
            raise
        self.reachability.succeed()

    async def _probe(self) -> None:
        with translate_errors(HistoryUnavailable, "DynamoDB"):
            await self._table.call("put_item", Item=_PROBE)


def _as_it_is(body: bytes) -> bytes:
    return body


@asynccontextmanager
async def open_dynamo(
    access: AwsAccess,
    *,
    table: str,
    clock: Clock,
    read_seconds: float,
    retention: Retention = FOR_EVER,
) -> AsyncIterator[DynamoHistory]:
    """Use a table of DynamoDB; it need not be reachable yet. An emulator's is created if missing.

    Args:
        access: Endpoint, region and credentials.
        table: The name of the table.
        clock: For pauses.
        read_seconds: Time limit of a read.
        retention: Time to expiry of written interactions.

    Raises:
        ConfigurationError: That can be no table, or no region is known.
    """
    if not _TABLE_NAME.fullmatch(table):
        raise ConfigurationError("DYNAMODB_TABLE is not the name of a table")
    async with open_client("dynamodb", access, tries=TRIES) as dynamodb:
        history = DynamoHistory(
            dynamodb, table, clock=clock, read_seconds=read_seconds, retention=retention
        )
        works = [history.reachability.watch]
        if access.is_emulator and not await history.try_to_make_table():
            works.append(history.make_table)
        async with running_tasks(*works):
            yield history
            await history.drain()
