"""The store of history in MongoDB."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from pymongo.asynchronous.collection import AsyncCollection

from domain.entities.conversation import ConversationPage, ConversationQuery
from domain.entities.history_query import HistoryQuery, Page
from domain.entities.interaction import Interaction, first_id_after
from domain.entities.statistics import Group, StatisticsQuery
from domain.entities.usage.report import UsageQuery, UsageSums
from domain.exceptions import HistoryDamaged, HistoryUnavailable, HistoryUnreadable, Unstorable
from domain.interfaces.clock import Clock
from infra.history.format.documents import UnreadableDocument, document_of
from infra.history.mongo.conversation_records import MongoConversationRecords
from infra.history.mongo.conversations import TURNS_BY_ID, conversations
from infra.history.mongo.errors import translate_errors
from infra.history.mongo.index_builder import make_indexes
from infra.history.mongo.queries import (
    EARLIER_STATISTICS_INDEX,
    INDEXES,
    USAGE_INDEX,
    WITHOUT_WORDS,
    WORDS_INDEX,
    direction_of,
    filter_of,
    read,
    stored,
)
from infra.history.mongo.search_renewal import MongoRenewal, either_form
from infra.history.mongo.statistics import statistics
from infra.history.mongo.tombstones import MongoTombstones
from infra.history.mongo.usage import usage
from infra.history.mongo.word_selectivity import rarest_first
from infra.history.mongo.writes import MongoWrites
from infra.history.store.append_batcher import Batcher
from infra.history.store.durable_store import DurableStore
from infra.history.store.reachability import Reachability
from infra.history.store.retention import FOR_EVER, Retention
from infra.storage.mongo.client import Document, MongoAccess, connected_when_needed
from infra.tasks.supervised import running_tasks

T = TypeVar("T")

WRITE_SECONDS = 10.0
PROBE_SECONDS = 2.5
FAILURES_TO_BE_AWAY = 2


class MongoHistory(DurableStore):
    """One database with the collections `interactions`, by id, `conversations`, their records, and `erasures`, the tombstones.

    A write is acknowledged by the majority's journals: a write on the primary alone is lost when it is killed.
    Concurrent appends are batched.
    """

    def __init__(
        self,
        access: MongoAccess,
        *,
        clock: Clock,
        read_seconds: float,
        retention: Retention = FOR_EVER,
    ) -> None:
        self.reachability = Reachability(
            "MongoDB", self._probe, clock, failures=FAILURES_TO_BE_AWAY
        )
        self._interactions = access.database["interactions"]
        self._erasures = MongoTombstones(access.database["erasures"])
        self._writes = MongoWrites(self._interactions, self._erasures)
        self._calls = access.calls
        self._renewal = MongoRenewal(
            self._interactions, access.database["upgrades"], access.calls, clock
        )
        self._has_indexes = False
        self._read_seconds = read_seconds
        self._retention = retention
        self._read_milliseconds = round(read_seconds * 1000)
        self._batcher = Batcher(self.append_many)
        self.records = MongoConversationRecords(
            access.database["conversations"], self._erasures, self, retention
        )

    @property
    def interactions(self) -> AsyncCollection[Document]:
        """All interactions, for copies of the store."""
        return self._interactions

    @property
    def erasures(self) -> MongoTombstones:
        """All tombstones, for copies of the store."""
        return self._erasures

    def admit(self) -> None:
        if self.reachability.is_away:
            raise HistoryUnavailable("MongoDB does not answer")

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
            await self.insert(
                [stored(interaction, document_of(interaction)) for interaction in interactions]
            )

    async def insert(self, documents: Sequence[Document]) -> None:
        """Write documents as returned by `stored`, by the rules of `append_many`."""
        for document in documents:
            expires_milliseconds = self._retention.expires_milliseconds(document["_id"])
            if expires_milliseconds is not None:
                document["expiresAt"] = datetime.fromtimestamp(expires_milliseconds / 1000, UTC)
        await self.written(self._writes.append(documents))

    async def search(self, query: HistoryQuery) -> Page:
        words: Sequence[str] = ()
        has_codes = self._renewal.is_finished
        form_of = str if has_codes else either_form
        hint = None
        if has_codes:
            # The server counts what a plan reads, not what it costs, and might choose one that reads documents.
            hint = WORDS_INDEX if query.filter.words and self._has_indexes else None
        elif query.filter.words:
            words = await self.read(
                rarest_first(
                    self._interactions,
                    query.user_id,
                    query.filter.words,
                    milliseconds=self._read_milliseconds,
                    form_of=form_of,
                )
            )
        searching = (
            self._interactions.find(
                filter_of(query, words, form_of=form_of, have_codes=has_codes),
                WITHOUT_WORDS,
                hint=hint,
                max_time_ms=self._read_milliseconds,
            )
            .sort("_id", direction_of(query))
            .limit(query.limit + 1)
        )
        found = await self.read(searching.to_list())
        next_id = found[query.limit - 1]["_id"] if len(found) > query.limit else None
        shown = found[: query.limit]
        # A late copy of an erased interaction exists until its writer removes it.
        erased = await self.erased_among(query.user_id, [document["_id"] for document in shown])
        interactions = _all_of([document for document in shown if document["_id"] not in erased])
        if not has_codes:
            interactions = [
                interaction
                for interaction in interactions
                if interaction.contains_words(query.filter.words)
            ]
        return Page(interactions=interactions, next_id=next_id)

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        living = await self.read(self._erasures.living(query.user_id))
        return await self.read(
            conversations(
                self._interactions, query, living=living, milliseconds=self._read_milliseconds
            )
        )

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        living = await self.read(self._erasures.living(query.user_id))
        return await self.read(
            statistics(
                self._interactions, query, living=living, milliseconds=self._read_milliseconds
            )
        )

    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        return await self.read(
            usage(
                self._interactions,
                query,
                # The server might choose the index of ids, and read a document for each.
                hint=USAGE_INDEX if self._has_indexes else None,
                milliseconds=self._read_milliseconds,
            )
        )

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        found = await self.read(
            self._interactions.find_one(
                {"_id": interaction_id, "userId": user_id},
                WITHOUT_WORDS,
                max_time_ms=self._read_milliseconds,
            )
        )
        if found is None or await self.erased_among(user_id, [interaction_id]):
            return None
        return _all_of([found])[0]

    async def erase(self, user_id: str, interaction_id: str) -> None:
        await self.erased(self._writes.erase_one(user_id, interaction_id))

    async def erase_all(self, user_id: str, until_id: str) -> int:
        before_id = first_id_after(until_id)
        await self.erased(self._erasures.add_all(user_id, before_id))
        erased = 0
        while True:
            count, is_last = await self.erased(self._writes.erase_some(user_id, before_id))
            erased += count
            if is_last:
                return erased

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        if not interaction_ids:
            return frozenset()
        pairs = [(user_id, interaction_id) for interaction_id in interaction_ids]
        erased = await self.read(self._erasures.among(pairs))
        return frozenset(erased.get(user_id, ()))

    async def make_indexes(self) -> None:
        """Return once the indexes exist; until then queries do not name them."""
        await make_indexes(
            self._interactions,
            [*INDEXES, TURNS_BY_ID],
            self._calls,
            on_away=self.reachability.leave,
            earlier=[EARLIER_STATISTICS_INDEX],
        )
        self._has_indexes = True

    async def renew_words(self) -> None:
        """Return once all documents have the codes of their words."""
        await self._renewal.run()

    async def drain(self) -> None:
        """Return once no append is pending."""
        await self._batcher.drain()

    async def _probe(self) -> None:
        with translate_errors(HistoryUnavailable):
            answer = await self._calls.within(PROBE_SECONDS, self._hello())
        if not answer.get("isWritablePrimary"):
            raise HistoryUnavailable("MongoDB takes no writes")

    async def _hello(self) -> Document:
        return await self._interactions.database.command("hello")

    async def written(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of a write, within the time limit of writes.

        Raises:
            Unstorable: The server refuses its content.
            HistoryUnavailable: It fails, or takes longer.
        """
        try:
            with translate_errors(HistoryUnavailable):
                written = await self._calls.within(WRITE_SECONDS, call)
        except Unstorable:
            raise  # it answered
        except HistoryUnavailable:
            self.reachability.fail()
            raise
        self.reachability.succeed()
        return written

    async def erased(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of an erasure, within the time limit of writes.

        Raises:
            HistoryUnreadable: It fails, or takes longer.
        """
        with translate_errors(HistoryUnreadable):
            return await self._calls.within(WRITE_SECONDS, call)

    async def read(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of a read, within the time limit of reads.

        Raises:
            HistoryUnreadable: It fails, or takes longer.
        """
        with translate_errors(HistoryUnreadable):
            return await self._calls.within(self._read_seconds, call)


def _all_of(documents: Sequence[Document]) -> list[Interaction]:
    try:
        return [read(document) for document in documents]
    except UnreadableDocument as exc:
        raise HistoryDamaged("a document cannot be read") from exc


@asynccontextmanager
async def open_mongo(
    uri: str, *, database: str, clock: Clock, read_seconds: float, retention: Retention = FOR_EVER
) -> AsyncIterator[MongoHistory]:
    """Use MongoDB at `uri`; connects on first use and reconnects automatically.

    Args:
        uri: May contain a password, and is never shown.
        database: Created by the server if missing.
        clock: For pauses.
        read_seconds: Time limit of a read.
        retention: Time to expiry of written interactions.

    Raises:
        ConfigurationError: The URI or the name of the database is invalid.
    """
    async with connected_when_needed(uri, database) as access:
        history = MongoHistory(access, clock=clock, read_seconds=read_seconds, retention=retention)
        async with running_tasks(
            history.make_indexes, history.renew_words, history.reachability.watch
        ):
            yield history
            await history.drain()
