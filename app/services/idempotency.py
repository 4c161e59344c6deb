"""Idempotency keys: a request that is sent repeatedly runs once, and its answer is replayed."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from app.services.answer_events import AnswerEvents
from domain.entities.caller import Caller
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.idempotency import Fingerprint, IdempotencyKey, IdempotencyRecord
from domain.entities.interaction import Interaction, Status
from domain.entities.items import Reasoning, Text, ToolCall
from domain.entities.reply import ProviderSelected, ReasoningDelta
from domain.exceptions import (
    AnswerWithdrawn,
    ContentBlocked,
    HistoryNotDurable,
    HistoryUnavailable,
    HistoryUnreadable,
    IdempotencyInProgress,
    IdempotencyMismatch,
    IdempotencyUnavailable,
    NotFound,
)
from domain.interfaces.clock import Clock
from domain.interfaces.idempotency import IdempotencyStore
from domain.use_cases.read_interaction import ReadInteraction

_REPLAYED_STATUSES = frozenset({Status.COMPLETED, Status.TRUNCATED, Status.BLOCKED})
_BEGIN_SECONDS = 60.0
"""Time in which a background answer is accepted, and so in history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentRequest:
    """Identifies a request that was sent with an Idempotency-Key.

    Attributes:
        key: Value of the Idempotency-Key header.
        route: Route of the request.
        fingerprint: Detects a key that is reused for a request with different content.
    """

    key: str
    route: str
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyService:
    """Runs the first request with a key, refuses others while it runs, and replays its answer to later ones.

    A request is complete once its interaction is in history. The idempotency record does not repeat that, so a crash
    between two writes cannot make them contradict each other. A request that leaves nothing to replay releases its
    key.

    Attributes:
        lease_seconds: Time after its deadline at which a request without an interaction is taken as lost.
        keep_seconds: Time for which a key is stored.
    """

    store: IdempotencyStore
    read_interaction: ReadInteraction
    clock: Clock
    lease_seconds: float = 10.0
    keep_seconds: float = 86_400.0
    _releases: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def __call__(
        self,
        caller: Caller,
        context: ChatRequestContext,
        request: IdempotentRequest,
        run: Callable[[], AnswerEvents],
    ) -> AnswerEvents:
        """Return the events of `run`, or a replay of the first answer; `context` then describes the first request.

        Raises:
            IdempotencyInProgress: The first request is still running.
            IdempotencyMismatch: The first request had different content.
            IdempotencyUnavailable: The idempotency store or history cannot be read; the request did not run.
        """
        key = IdempotencyKey(
            principal=caller.principal,
            user_id=context.user_id,
            route=request.route,
            key=request.key,
        )
        now = self.clock.now_milliseconds()
        record = self._new_record(context, request, now)
        try:
            existing = await self.store.claim(key, record, now_milliseconds=now)
        except (IdempotencyUnavailable, asyncio.CancelledError):
            self._run_in_background(self._release(key, record))  # it may be stored nevertheless
            raise
        if existing is None:
            return self._release_on_failure(key, record, context, run())
        if not request.fingerprint.matches(existing.fingerprint):
            raise IdempotencyMismatch
        interaction = await self._find_interaction(context.user_id, existing.interaction_id)
        if interaction is not None and _is_replayable(interaction):
            return _replay(context, interaction)
        record = self._successor(record, existing, interaction)
        try:
            is_replaced = await self.store.replace(key, existing, record)
        except (IdempotencyUnavailable, asyncio.CancelledError):
            self._run_in_background(self._end_lease(key, record))  # it may be stored nevertheless
            raise
        if not is_replaced:
            raise IdempotencyInProgress
        context.id = record.interaction_id
        return self._release_on_failure(key, record, context, run())

    async def drain(self) -> None:
        """Wait until all releases that run in the background have succeeded or failed."""
        while self._releases:
            await asyncio.wait(self._releases)

    def _new_record(
        self, context: ChatRequestContext, request: IdempotentRequest, now_milliseconds: int
    ) -> IdempotencyRecord:
        left_seconds = context.answer_deadline.remaining_seconds(self.clock.monotonic())
        if context.is_background:
            left_seconds = min(left_seconds, _BEGIN_SECONDS)
        return IdempotencyRecord(
            fingerprint=request.fingerprint.current,
            interaction_id=context.id,
            lease_until_milliseconds=now_milliseconds
            + round((left_seconds + self.lease_seconds) * 1000),
            expires_milliseconds=now_milliseconds + round(self.keep_seconds * 1000),
        )

    def _successor(
        self,
        record: IdempotencyRecord,
        existing: IdempotencyRecord,
        interaction: Interaction | None,
    ) -> IdempotencyRecord:
        """Return the record that replaces `existing`, whose request left nothing to replay.

        Raises:
            IdempotencyInProgress: The first request may still be running.
        """
        if interaction is not None and interaction.status is not Status.INTERRUPTED:
            return record  # the first request failed and could not release the key
        if self.clock.now_milliseconds() < existing.lease_until_milliseconds:
            raise IdempotencyInProgress
        # The first process crashed. With the same id, a late write of its interaction creates no second one.
        return replace(record, interaction_id=existing.interaction_id)

    async def _find_interaction(self, user_id: str, interaction_id: str) -> Interaction | None:
        try:
            return await self.read_interaction(user_id, interaction_id)
        except NotFound:
            return None
        except HistoryUnreadable as exc:
            raise IdempotencyUnavailable from exc

    async def _release_on_failure(
        self,
        key: IdempotencyKey,
        record: IdempotencyRecord,
        context: ChatRequestContext,
        events: AnswerEvents,
    ) -> AnswerEvents:
        """Yield `events`; release the key if they end without an interaction that can be replayed."""
        try:
            async with aclosing(events):
                async for event in events:
                    if not context.is_stored and isinstance(event, Interaction):
                        await self._end_lease(key, record)  # there is nothing to replay
                    yield event
        except ContentBlocked:
            if not context.is_stored:
                await self._end_lease(key, record)
            raise  # a stored refusal is replayed: another call would be blocked again
        except HistoryNotDurable:
            await self._end_lease(key, record)
            raise
        except AnswerWithdrawn:
            await self._release(key, record)
            raise
        except HistoryUnavailable:
            # A background answer may be generated nevertheless: under the same id there is one.
            end = self._end_lease if context.is_background else self._release
            await end(key, record)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if context.interaction is None or not _is_replayable(context.interaction):
                self._run_in_background(self._release(key, record))
            raise
        except BaseException:
            await self._release(key, record)
            raise

    async def _release(self, key: IdempotencyKey, record: IdempotencyRecord) -> None:
        try:
            await self.store.release(key, record)
        except IdempotencyUnavailable:
            return  # the key is free once the lease ends or the failed interaction is found

    async def _end_lease(self, key: IdempotencyKey, record: IdempotencyRecord) -> None:
        """Let the next request run at once under the same interaction id, since no interaction seems to be stored.

        If the interaction was stored nevertheless, the next request replays it.
        """
        ended = replace(record, lease_until_milliseconds=0)
        try:
            await self.store.replace(key, record, ended)
        except IdempotencyUnavailable:
            return

    def _run_in_background(self, release: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(release, name="release idempotency key")
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)


def _is_replayable(interaction: Interaction) -> bool:
    """Return whether an interaction answers repeated requests: it was answered with 200 or 202, or blocked."""
    if interaction.is_background:
        # With any other outcome the request was accepted.
        return interaction.error != HistoryUnavailable.code
    if interaction.status not in _REPLAYED_STATUSES or not interaction.is_content_stored:
        return False
    return interaction.error in (None, ContentBlocked.code)


def _replay(context: ChatRequestContext, interaction: Interaction) -> AnswerEvents:
    context.id = interaction.id
    context.is_replayed = True
    context.interaction = interaction
    context.attempts = list(interaction.attempts)
    return _stored_events(interaction)


async def _stored_events(interaction: Interaction) -> AnswerEvents:
    if interaction.is_background:
        yield interaction
        return
    if interaction.error is not None:
        raise ContentBlocked
    yield ProviderSelected(provider=interaction.provider or "", model=interaction.model)
    for item in interaction.items:
        match item:
            case Text() if item.text:
                yield item.text
            case Reasoning() if item.text:
                yield ReasoningDelta(item.text)
            case ToolCall():
                yield item
    if interaction.text and not interaction.items:
        yield interaction.text
    yield interaction
