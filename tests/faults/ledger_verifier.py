"""Holds a ledger against history, the dead letters and the provider's own log."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tests.faults.ledger import Entry
from tests.faults.ledger_load import USERS, a_session

EVERY_STATUS = (
    "completed",
    "truncated",
    "blocked",
    "client_cancelled",
    "failed",
    "interrupted",
    "in_progress",
)
REFUSED_BEFORE_ASKING = "history-unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the comparison found; every list has to be empty.

    Attributes:
        missing: Acknowledged, and not in history.
        duplicates: In history more than once, by id or by prompt.
        altered: In history with another text than the client was given.
        unasked: Acknowledged, and the provider never saw the prompt.
        asked_in_vain: Refused as impossible to keep, although the provider had been asked.
        dead: Acknowledged, and among the dead letters.
    """

    requests: int
    acknowledged: int
    kept: int
    provider_calls: int
    missing: list[str]
    duplicates: list[str]
    altered: list[str]
    unasked: list[str]
    asked_in_vain: list[str]
    dead: list[str]

    @property
    def faults(self) -> dict[str, list[str]]:
        """Everything that is not as it should be."""
        found = {
            "missing": self.missing,
            "duplicates": self.duplicates,
            "altered": self.altered,
            "unasked": self.unasked,
            "asked in vain": self.asked_in_vain,
            "dead": self.dead,
        }
        return {name: which for name, which in found.items() if which}

    def __str__(self) -> str:
        return (
            f"{self.requests} requests, {self.acknowledged} acknowledged, {len(self.missing)} of them missing, "
            f"{len(self.duplicates)} duplicates, {len(self.altered)} altered, {len(self.dead)} dead, "
            f"{self.kept} in history, {self.provider_calls} provider calls"
        )


def compare(
    entries: Sequence[Entry],
    history: Sequence[dict[str, Any]],
    asked: Sequence[str],
    dead_letters: Collection[str] = (),
) -> Verdict:
    """Compare what clients were told with what is there.

    Args:
        entries: The ledger.
        history: Every interaction of every client, as read after the service caught up.
        asked: The prompts the provider saw, as often as it saw them.
        dead_letters: Ids of interactions that were set aside.
    """
    by_id = {item["id"]: item for item in history}
    acknowledged = [entry for entry in entries if entry.is_acknowledged]
    seen = frozenset(asked)
    counts = Counter(item["id"] for item in history) + Counter(
        item["userPrompt"] for item in history
    )
    found = [entry for entry in acknowledged if _is_same(entry, by_id.get(entry.interaction_id))]
    return Verdict(
        requests=len(entries),
        acknowledged=len(acknowledged),
        kept=len(history),
        provider_calls=len(asked),
        missing=sorted({e.prompt for e in acknowledged} - {e.prompt for e in found}),
        duplicates=sorted(one for one, count in counts.items() if count > 1),
        altered=[
            entry.prompt
            for entry in found
            if len(by_id[entry.interaction_id]["response"].encode()) != entry.text_bytes
        ],
        unasked=[entry.prompt for entry in acknowledged if entry.prompt not in seen],
        asked_in_vain=[
            entry.prompt
            for entry in entries
            if entry.problem == REFUSED_BEFORE_ASKING and entry.prompt in seen
        ],
        dead=[entry.prompt for entry in acknowledged if entry.interaction_id in dead_letters],
    )


async def walked(url: str, users: Sequence[str] = USERS) -> list[dict[str, Any]]:
    """Read the whole history of these users from the service at `url`, by cursor."""
    found: list[dict[str, Any]] = []
    async with a_session() as session:
        for user in users:
            found += await _walked(session, f"{url}/v1/history/{user}")
    return found


async def _walked(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    first = [("limit", "100"), *(("status", status) for status in EVERY_STATUS)]
    cursor: list[tuple[str, str]] = []
    while True:
        async with session.get(url, params=first + cursor) as response:
            page = orjson.loads(await response.read())
            assert response.status == 200, page
        found += page["history"]
        if page["nextCursor"] is None:
            return found
        cursor = [("cursor", page["nextCursor"])]


def _is_same(entry: Entry, item: dict[str, Any] | None) -> bool:
    return item is not None and (item["userId"], item["userPrompt"], item["status"]) == (
        entry.user_id,
        entry.prompt,
        "completed",
    )
