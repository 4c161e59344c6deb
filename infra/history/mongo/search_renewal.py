"""Adds the codes of their words to documents of earlier versions in the background."""

import asyncio
import logging
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from pymongo import ASCENDING, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError

from domain.entities.interaction import first_id_at
from domain.entities.statistics import DAY_MILLISECONDS
from domain.entities.words import words_of_decomposed
from domain.interfaces.clock import Clock
from infra.history.mongo.index_builder import drop_index
from infra.history.mongo.queries import EARLIER_WORDS_INDEX, stored_words
from infra.history.mongo.word_codes import CODES, codes_of
from infra.storage.mongo.client import Document
from infra.tasks.uncancelled_calls import UncancelledCalls

logger = logging.getLogger(__name__)

READ_AT_ONCE = 500
PAUSE_SECONDS = 0.1
STEP_SECONDS = 60.0
RETRY_SECONDS = 30.0
LOOK_SECONDS = 600.0
LEASE_MILLISECONDS = 120_000
SETTLING_MILLISECONDS = 7 * DAY_MILLISECONDS
"""Time in which processes of the earlier version may still write; a second pass follows it."""
LATE_MILLISECONDS = DAY_MILLISECONDS
"""Maximum age of an interaction when it is written, because of an outbox."""

_KEY = "word codes"
_FIRST, _LAST = 1, 2


class MongoRenewal:
    """Passes over all documents, and after a week over those written since; then drops the earlier index of words.

    Any process of the installation does the next step; the progress is one document of `upgrades`. Words that are not
    in canonical form are rewritten too.

    Attributes:
        is_finished: Whether all documents have codes. Until then searches look for both forms of a word, in the
            earlier index.
    """

    def __init__(
        self,
        interactions: AsyncCollection[Document],
        upgrades: AsyncCollection[Document],
        calls: UncancelledCalls,
        clock: Clock,
    ) -> None:
        self.is_finished = False
        self._interactions = interactions
        self._upgrades = upgrades
        self._calls = calls
        self._clock = clock
        self._holder = secrets.token_hex(8)

    async def run(self) -> None:
        """Return once it is finished; retries without end, since the service does not wait for it."""
        while not self.is_finished:
            try:
                pause_seconds = await self._calls.within(STEP_SECONDS, self._go_on())
            except (PyMongoError, TimeoutError) as exc:
                logger.debug("documents cannot be reindexed yet (%s)", type(exc).__name__)
                pause_seconds = RETRY_SECONDS
            if pause_seconds:
                await self._clock.sleep(pause_seconds)

    async def _go_on(self) -> float:
        """Do one step; return the pause before the next in seconds."""
        state = await self._upgrades.find_one({"_id": _KEY}) or await self._begin()
        if state["finished"]:
            # Also when it was finished before: a process of an earlier version makes the index again.
            await drop_index(self._interactions, EARLIER_WORDS_INDEX)
            self.is_finished = True
            return 0.0
        now = self._clock.now_milliseconds()
        if state["restsUntil"] > now:
            return min(float(state["restsUntil"] - now) / 1000, LOOK_SECONDS)
        leased = await self._upgrades.update_one(
            {
                "_id": _KEY,
                "after": state["after"],
                "$or": [{"holder": self._holder}, {"leasedUntil": {"$lte": now}}],
            },
            {"$set": {"holder": self._holder, "leasedUntil": now + LEASE_MILLISECONDS}},
        )
        if not leased.matched_count:
            return LOOK_SECONDS
        last_id = await self._renew_some(state["after"])
        following = {"after": last_id} if last_id is not None else _next_pass(state)
        await self._upgrades.update_one(
            {"_id": _KEY, "pass": state["pass"], "after": state["after"]}, {"$set": following}
        )
        return PAUSE_SECONDS

    async def _begin(self) -> Document:
        state: Document = {
            "_id": _KEY,
            "pass": _FIRST,
            "after": "",
            "begunAt": self._clock.now_milliseconds(),
            "restsUntil": 0,
            "holder": "",
            "leasedUntil": 0,
            "finished": await self._interactions.find_one({}, {"_id": 1}) is None,
        }
        with suppress(DuplicateKeyError):
            await self._upgrades.insert_one(state)
            return state
        return await self._upgrades.find_one({"_id": _KEY}) or state

    async def _renew_some(self, after_id: str) -> str | None:
        """Rewrite the next documents; return the last id, None when there are no more."""
        beyond = {"$gt": after_id}
        ends = await (
            self._interactions.find({"_id": beyond}, {"_id": 1})
            .sort("_id", ASCENDING)
            .skip(READ_AT_ONCE - 1)
            .limit(1)
            .to_list()
        )
        last_id: str | None = ends[0]["_id"] if ends else None
        wanted: Document = {
            "_id": beyond if last_id is None else {**beyond, "$lte": last_id},
            CODES: None,
        }
        fields = ("userId", "status", "prompt", "text", "words")
        found = await self._interactions.find(wanted, dict.fromkeys(fields, 1)).to_list()
        if found:
            # Splitting that many texts takes too long for the event loop.
            renewed = await asyncio.to_thread(_renewed, found)
            await self._interactions.bulk_write(renewed, ordered=False)
        return last_id


def _renewed(found: Sequence[Document]) -> list[UpdateOne]:
    updates = []
    for document in found:
        words = stored_words(document.get("prompt") or "", document.get("text") or "")
        changes: Document = {CODES: codes_of(words)}
        if set(words) != set(document.get("words") or ()):
            changes["words"] = words
        # A document replaced by its outcome meanwhile has new words.
        place = {name: document[name] for name in ("_id", "userId", "status")}
        updates.append(UpdateOne(place, {"$set": changes}))
    return updates


def either_form(word: str) -> Any:
    """Return a condition for a word that matches documents of this and of earlier versions.

    It may match too many of the earlier ones, which are compared afterwards.
    """
    decomposed: Collection[str] = words_of_decomposed(word) - {word}
    return {"$in": [word, max(decomposed, key=len)]} if decomposed else word


def _next_pass(state: Document) -> Document:
    if state["pass"] == _LAST:
        return {"finished": True}
    return {
        "pass": _LAST,
        "after": first_id_at(state["begunAt"] - LATE_MILLISECONDS),
        "restsUntil": state["begunAt"] + SETTLING_MILLISECONDS,
    }
