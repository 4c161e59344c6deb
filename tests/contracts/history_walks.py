"""A varied history, every way to filter it, and walking it page by page."""

from dataclasses import replace

from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import Interaction, Status, first_id_at
from domain.interfaces.history import HistoryRepository
from tests.fakes.clock import START_MILLISECONDS
from tests.fakes.interactions import an_interaction

EVERY_STATUS = frozenset(Status)

FILTERS = [
    {},
    {"model": "small"},
    {"provider": "openrouter"},
    {"conversation_id": "c|1"},
    {"statuses": frozenset({Status.TRUNCATED, Status.COMPLETED})},
    {"statuses": frozenset({Status.FAILED})},
    {"statuses": frozenset({Status.FAILED, Status.COMPLETED})},
    {"statuses": EVERY_STATUS},
    {"from_id": first_id_at(START_MILLISECONDS + 50), "to_id": first_id_at(START_MILLISECONDS + 200)},
    {"model": "small", "provider": "openrouter"},
    {"model": "small", "conversation_id": "c|1"},
    {"model": "small", "statuses": frozenset({Status.FAILED, Status.TRUNCATED})},
    {"conversation_id": "c|1", "provider": "openrouter", "statuses": frozenset({Status.TRUNCATED})},
    {"provider": "openrouter", "model": "small", "conversation_id": "c|1", "statuses": EVERY_STATUS,
     "from_id": first_id_at(START_MILLISECONDS + 10), "to_id": first_id_at(START_MILLISECONDS + 240)},
    {"model": "never asked"},
]  # fmt: skip


def mixed(number: int) -> Interaction:
    """Return interaction number so-and-so of a varied history."""
    return an_interaction(
        number,
        model=("large", "small", "medium")[number % 3],
        provider=(None, "gemini", "openrouter", "openrouter")[number % 4],
        conversation_id=(None, "c|1", "c|2")[number % 5 % 3],
        status=(Status.COMPLETED, Status.COMPLETED, Status.TRUNCATED, Status.FAILED)[
            number // 2 % 4
        ],
    )


def passes(interaction: Interaction, **wanted: object) -> bool:
    """Return whether the filter lets it through, by the words of the port rather than a store's."""
    statuses = wanted.pop("statuses", frozenset())
    from_id, to_id = wanted.pop("from_id", ""), wanted.pop("to_id", "~")
    has_status = interaction.status in statuses if statuses else interaction.is_answered  # type: ignore[operator]
    return has_status and from_id <= interaction.id < to_id and all(  # type: ignore[operator]
        getattr(interaction, name) == value for name, value in wanted.items()
    )  # fmt: skip


def asking(**changes: object) -> HistoryQuery:
    """Return ana's query for everything, changed as asked: its own fields first, the rest is the filter."""
    own = {
        name: changes.pop(name)
        for name in ("user_id", "order", "limit", "after_id")
        if name in changes
    }
    query = HistoryQuery(user_id="ana", limit=100, filter=HistoryFilter(**changes))  # type: ignore[arg-type]
    return replace(query, **own)


async def walk(history: HistoryRepository, query: HistoryQuery) -> list[Interaction]:
    """Return every interaction from the query's first page to its last."""
    found: list[Interaction] = []
    while True:
        page = await history.search(query)
        assert len(page.interactions) <= query.limit
        found.extend(page.interactions)
        if page.next_id is None:
            return found
        query = replace(query, after_id=page.next_id)
