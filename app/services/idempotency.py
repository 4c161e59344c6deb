"""Carries a request out once, however often it is sent."""

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
from domain.entities.reply import ProviderSelected
from domain.exceptions import (
    ContentBlocked,
    HistoryNotDurable,
    HistoryUnreadable,
    IdempotencyInProgress,
    IdempotencyMismatch,
    IdempotencyUnavailable,
    NotFound,
)
from domain.interfaces.clock import Clock
from domain.interfaces.idempotency import IdempotencyStore
from domain.use_cases.read_interaction import ReadInteraction

_REPLAYED = frozenset({Status.COMPLETED, Status.TRUNCATED, Status.BLOCKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What a caller sent along so that the request is carried out once.

    Attributes:
        key: What the caller calls the request.
        route: Where it was sent.
        fingerprint: Tells whether two requests ask the same.
    """

    key: str
    route: str
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyService:
    """The first request with a key runs; while it does, others are refused; once it is answered, they get its answer.

    That it was answered is told by its interaction in history, not by a second note beside it, so a crash between the
    two cannot make them differ. Whatever leaves nothing to be replayed frees the key.

    Attributes:
        lease_seconds: After its deadline, how long until a request without an interaction counts as dead.
        keep_seconds: How long a key is remembered.
    """

    claims: IdempotencyStore
    read_interaction: ReadInteraction
    clock: Clock
    lease_seconds: float = 10.0
    keep_seconds: float = 86_400.0
    _releases: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def __call__(
        self,
        caller: Caller,
        context: ChatRequestContext,
        once: Once,
        run: Callable[[], AnswerEvents],
    ) -> AnswerEvents:
        """Return what `run` yields, or what it yielded the first time; `context` is made the one that answers.

        Raises:
            IdempotencyInProgress: The first request still runs.
            IdempotencyMismatch: The first request was another.
            IdempotencyUnavailable: Keys or answers cannot be looked up; nothing was done.
        """
        key = IdempotencyKey(
            principal=caller.principal, user_id=context.user_id, route=once.route, key=once.key
        )
        now = self.clock.now_milliseconds()
        claim = self._claim(context, once, now)
        try:
            seen = await self.claims.claim(key, claim, now_milliseconds=now)
        except (IdempotencyUnavailable, asyncio.CancelledError):
            self._detach(self._release(key, claim))  # it may have been kept all the same
            raise
        if seen is None:
            return self._held(key, claim, context, run())
        if not once.fingerprint.matches(seen.fingerprint):
            raise IdempotencyMismatch
        interaction = await self._outcome(context.user_id, seen.interaction_id)
        if interaction is not None and _is_replayed(interaction):
            return _replay(context, interaction)
        claim = self._taken_over(claim, seen, interaction)
        try:
            is_ours = await self.claims.replace(key, seen, claim)
        except (IdempotencyUnavailable, asyncio.CancelledError):
            self._detach(self._end_lease(key, claim))  # it may be ours all the same
            raise
        if not is_ours:
            raise IdempotencyInProgress
        context.id = claim.interaction_id
        return self._held(key, claim, context, run())

    async def drain(self) -> None:
        """Return once every key that is being freed for callers who left is free, or could not be freed."""
        while self._releases:
            await asyncio.wait(self._releases)

    def _claim(
        self, context: ChatRequestContext, once: Once, now_milliseconds: int
    ) -> IdempotencyRecord:
        left_seconds = context.answer_deadline.remaining_seconds(self.clock.monotonic())
        return IdempotencyRecord(
            fingerprint=once.fingerprint.current,
            interaction_id=context.id,
            lease_until_milliseconds=now_milliseconds
            + round((left_seconds + self.lease_seconds) * 1000),
            expires_milliseconds=now_milliseconds + round(self.keep_seconds * 1000),
        )

    def _taken_over(
        self, claim: IdempotencyRecord, seen: IdempotencyRecord, interaction: Interaction | None
    ) -> IdempotencyRecord:
        """Return the claim to keep instead of `seen`, which left nothing to be replayed.

        Raises:
            IdempotencyInProgress: It may still do so.
        """
        if interaction is not None and interaction.status is not Status.INTERRUPTED:
            return claim  # it has failed, and could not free the key
        if self.clock.now_milliseconds() < seen.lease_until_milliseconds:
            raise IdempotencyInProgress
        # Its process died. Should its interaction turn up after all, the two are one.
        return replace(claim, interaction_id=seen.interaction_id)

    async def _outcome(self, user_id: str, interaction_id: str) -> Interaction | None:
        try:
            return await self.read_interaction(user_id, interaction_id)
        except NotFound:
            return None
        except HistoryUnreadable as exc:
            raise IdempotencyUnavailable from exc

    async def _held(
        self,
        key: IdempotencyKey,
        claim: IdempotencyRecord,
        context: ChatRequestContext,
        events: AnswerEvents,
    ) -> AnswerEvents:
        """Pass on what is yielded; free the key when it ends in a way that is not replayed."""
        try:
            async with aclosing(events):
                async for event in events:
                    if not context.is_stored and isinstance(event, Interaction):
                        await self._end_lease(key, claim)  # there is nothing to replay
                    yield event
        except ContentBlocked:
            if not context.is_stored:
                await self._end_lease(key, claim)
            raise  # kept: asked again, the answer would be the same
        except HistoryNotDurable:
            await self._end_lease(key, claim)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if context.interaction is None or not _is_replayed(context.interaction):
                self._detach(self._release(key, claim))
            raise
        except BaseException:
            await self._release(key, claim)
            raise

    async def _release(self, key: IdempotencyKey, claim: IdempotencyRecord) -> None:
        try:
            await self.claims.release(key, claim)
        except IdempotencyUnavailable:
            return  # free when the lease ends, or once the failed interaction is seen

    async def _end_lease(self, key: IdempotencyKey, claim: IdempotencyRecord) -> None:
        """Let the next request run at once, as the same interaction, of which nothing seems to be kept.

        If it was kept after all, the next request is answered from it.
        """
        ended = replace(claim, lease_until_milliseconds=0)
        try:
            await self.claims.replace(key, claim, ended)
        except IdempotencyUnavailable:
            return

    def _detach(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="free an idempotency key")
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)


def _is_replayed(interaction: Interaction) -> bool:
    """Return whether the answer was a 200, or the refusal of a safety filter."""
    if interaction.status not in _REPLAYED:
        return False
    return interaction.error in (None, ContentBlocked.code)


def _replay(context: ChatRequestContext, interaction: Interaction) -> AnswerEvents:
    context.id = interaction.id
    context.is_replayed = True
    context.interaction = interaction
    context.attempts = list(interaction.attempts)
    return _told_again(interaction)


async def _told_again(interaction: Interaction) -> AnswerEvents:
    if interaction.error is not None:
        raise ContentBlocked
    yield ProviderSelected(provider=interaction.provider or "", model=interaction.model)
    if interaction.text:
        yield interaction.text
    yield interaction
