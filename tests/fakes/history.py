"""The history ports in memory."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from domain.entities.conversation import (
    OPENING_CHARACTERS,
    Conversation,
    ConversationPage,
    ConversationQuery,
)
from domain.entities.history_query import HistoryQuery, Order, Page
from domain.entities.interaction import Interaction, first_id_after, milliseconds_of, replaces
from domain.entities.statistics import FAILURES, Day, Group, GroupBy, StatisticsQuery
from domain.entities.usage.report import UsageFigures, UsageQuery, UsageSums
from domain.exceptions import HistoryUnavailable, HistoryUnreadable
from domain.interfaces.history import HistoryRepository, UsageReader
from infra.history.queries.aggregates import GroupAccumulator, whole_milliseconds
from infra.history.store.visibility import wait_until_found


class InMemoryHistory(HistoryRepository, UsageReader):
    """Holds interactions in memory; `is_full`, `refuses` and `is_unreadable` make calls fail.

    Attributes:
        kept: Stored interactions by id.
        begun: Interactions that were marked as in flight.
        is_full: Whether `admit` fails.
        refuses: Number of appends that are still to fail.
        is_unreadable: Whether reads and erasures fail.
        searches: Number of pages read.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Interaction] = {}
        self.begun: list[Interaction] = []
        self.is_full = False
        self.refuses = 0
        self.is_unreadable = False
        self.searches = 0

    def admit(self) -> None:
        if self.is_full:
            raise HistoryUnavailable

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        *,
        lost_after_seconds: float,
    ) -> None:
        self.begun.append(interrupted())

    async def append(self, interaction: Interaction) -> None:
        if self.refuses:
            self.refuses -= 1
            raise HistoryUnavailable
        kept = self.kept.get(interaction.id)
        if kept is None or replaces(interaction.status, kept.status):
            self.kept[interaction.id] = interaction

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        for interaction in interactions:
            await self.append(interaction)

    async def search(self, query: HistoryQuery) -> Page:
        self.searches += 1
        self._check_readable()
        is_newest_first = query.order is Order.DESC
        found = sorted(
            (i for i in self.kept.values() if i.user_id == query.user_id and _passes(i, query)),
            key=lambda i: i.id,
            reverse=is_newest_first,
        )
        if (after_id := query.after_id) is not None:
            found = [i for i in found if (i.id < after_id if is_newest_first else i.id > after_id)]
        page = found[: query.limit]
        return Page(interactions=page, next_id=page[-1].id if len(found) > len(page) else None)

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        self._check_readable()
        found = []
        turns = sorted(
            (i for i in self.kept.values() if i.user_id == query.user_id and i.id >= query.from_id),
            key=_id,
        )
        for conversation_id in {i.conversation_id for i in turns} - {None}:
            mine = [i for i in turns if i.conversation_id == conversation_id]
            found.append(
                Conversation(
                    id=str(conversation_id),
                    turns=len(mine),
                    first_id=mine[0].id,
                    last_id=mine[-1].id,
                    opening=mine[0].prompt.text[:OPENING_CHARACTERS],
                )
            )
        found.sort(key=lambda one: one.last_id, reverse=True)
        found = [one for one in found if query.after_id is None or one.last_id < query.after_id]
        page = found[: query.limit]
        is_last = len(found) == len(page)
        return ConversationPage(conversations=page, next_id=None if is_last else page[-1].last_id)

    async def statistics(self, query: StatisticsQuery) -> Sequence[Group]:
        self._check_readable()
        tallies: defaultdict[str | None, GroupAccumulator] = defaultdict(GroupAccumulator)
        for one in self.kept.values():
            is_within = (query.from_id or "") <= one.id < (query.to_id or "~")
            if one.user_id == query.user_id and is_within:
                day = Day.around(milliseconds_of(one.id), query.time_zone)
                key = {
                    GroupBy.DAY: day.key,
                    GroupBy.MODEL: one.model,
                    GroupBy.PROVIDER: one.provider,
                }
                tally = tallies[key[query.by]]
                tally.interactions += 1
                tally.failures += one.status in FAILURES
                tally.input_tokens += one.usage.input_tokens or 0
                tally.cached_input_tokens += one.usage.cached_input_tokens or 0
                tally.cache_write_tokens += one.usage.cache_write_tokens or 0
                tally.output_tokens += one.usage.output_tokens or 0
                tally.add_cost(one.usage.cost_usd)
                if one.is_answered:
                    tally.answered_in[whole_milliseconds(one.latency_seconds)] += 1
        return [tally.group(key) for key, tally in tallies.items()]

    async def usage(self, query: UsageQuery) -> Sequence[UsageSums]:
        self._check_readable()
        figures: defaultdict[tuple[str, str, str | None], UsageFigures] = defaultdict(UsageFigures)
        for day in query.days():
            for one in self.kept.values():
                if day.from_id <= one.id < day.to_id:
                    figures[day.key, one.model, one.credential] += UsageFigures(
                        interactions=1,
                        failures=int(one.status in FAILURES),
                        input_tokens=one.usage.input_tokens or 0,
                        output_tokens=one.usage.output_tokens or 0,
                        reasoning_tokens=one.usage.reasoning_tokens or 0,
                        cached_input_tokens=one.usage.cached_input_tokens or 0,
                        cache_write_tokens=one.usage.cache_write_tokens or 0,
                        cost_usd=one.usage.cost_usd,
                    )
        return [
            UsageSums(day=day, model=model, credential=credential, figures=sums)
            for (day, model, credential), sums in figures.items()
        ]

    async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
        self._check_readable()
        found = self.kept.get(interaction_id)
        return found if found is not None and found.user_id == user_id else None

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        return await wait_until_found(
            partial(self.find, user_id, interaction_id), seconds=seconds, appended=asyncio.Event()
        )

    async def erase(self, user_id: str, interaction_id: str) -> None:
        if await self.find(user_id, interaction_id) is not None:
            del self.kept[interaction_id]

    async def erase_all(self, user_id: str, until_id: str) -> int:
        self._check_readable()
        end_id = first_id_after(until_id)
        gone = [i.id for i in self.kept.values() if i.user_id == user_id and i.id < end_id]
        for interaction_id in gone:
            del self.kept[interaction_id]
        return len(gone)

    def _check_readable(self) -> None:
        if self.is_unreadable:
            raise HistoryUnreadable


def _id(interaction: Interaction) -> str:
    return interaction.id


def _passes(interaction: Interaction, query: HistoryQuery) -> bool:
    wanted = query.filter
    return (
        (interaction.status in wanted.statuses if wanted.statuses else interaction.is_answered)
        and wanted.model in (None, interaction.model)
        and wanted.provider in (None, interaction.provider)
        and wanted.conversation_id in (None, interaction.conversation_id)
        and interaction.contains_words(wanted.words)
        and (wanted.from_id or "") <= interaction.id < (wanted.to_id or "~")
    )
