"""Read the events of a background answer from any point, also while it is generated."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace

from domain.entities.background.answer import AnswerKey, BackgroundAnswer
from domain.entities.background.log import LogEvent, LogPage, Restarted
from domain.entities.interaction import Interaction, Status
from domain.entities.reply import ProviderSelected
from domain.exceptions import HistoryDamaged, HistoryUnreadable, NotFound
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock
from domain.use_cases.background.erased_answers import ErasedAnswers
from domain.use_cases.read_interaction import ReadInteraction

EXPIRED = "events-expired"
"""The log that the reader followed was removed, so the whole answer is repeated."""

_EVENTS_AT_ONCE = 1000
_LOOK_AGAIN_SECONDS = 1.0
_LONGEST_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """An event and its number, from 0 without gaps."""

    number: int
    event: LogEvent


@dataclass(frozen=True, slots=True)
class FollowedAnswer:
    """An answer to read.

    Attributes:
        answer: The request.
        events: The requested events, as they are written.
        is_kept: Whether they are the events of the log, with its numbers; otherwise they are made from history, are
            complete at once, and their numbers belong to no log.
    """

    answer: BackgroundAnswer
    events: AsyncGenerator[NumberedEvent, None]
    is_kept: bool = True


@dataclass(slots=True, eq=False)
class Following:
    """The events of one answer that this process has read so far, shared by all of its readers in this process.

    Attributes:
        answer: The request.
        events: All events so far.
        is_ended: No further event comes.
        readers: Number of readers.
        poll_seconds: Length of the last wait for other processes; 0.0 after an event.
    """

    answer: BackgroundAnswer
    events: list[LogEvent] = field(default_factory=list)
    is_ended: bool = False
    readers: int = 0
    poll_seconds: float = 0.0
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let all readers end after the events so far."""
        self.is_ended = True
        self.wake()

    def wake(self) -> None:
        """Let all readers check again."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


@dataclass(slots=True)
class FollowAnswer:
    """Reads logs. All readers of an answer in this process share one task that reads its log.

    Attributes:
        made_here: Returns the answers that this process generates.
        erased: Removes the logs of erased answers before they are read; None without such logs.
    """

    log: AnswerLog
    read_interaction: ReadInteraction
    clock: Clock
    made_here: Callable[[], Collection[AnswerKey]] = lambda: ()
    erased: ErasedAnswers | None = None
    _followed: dict[AnswerKey, Following] = field(default_factory=dict, init=False)

    @property
    def readers(self) -> int:
        """Number of readers in this process."""
        return sum(following.readers for following in self._followed.values())

    @property
    def keys(self) -> Collection[AnswerKey]:
        """The answers that have readers in this process."""
        return self._followed.keys()

    async def __call__(
        self, user_id: str, interaction_id: str, *, after: int = -1
    ) -> FollowedAnswer:
        """Return the answer with its events with numbers greater than `after`.

        The events end with the outcome, or early if the answer is erased. They are the same in every process, until the
        log is removed; then they are the whole answer, after a `Restarted` if the reader has seen some events.

        Raises:
            NotFound: This user has no such interaction.
            HistoryUnreadable: The log, or history, cannot be read.
        """
        key = AnswerKey(user_id=user_id, interaction_id=interaction_id)
        # answers that this process generates are checked anyway, and their readers wait for the first text
        if self.erased is not None and key not in self.made_here():
            await self.erased.before_reading(key)
        following = self._followed.get(key)
        if following is not None and following.is_ended and await self._is_removed(key):
            if self._followed.get(key) is following:
                del self._followed[key]
            following = None
        if following is None:
            page = await self.log.read(key, after=-1, limit=_EVENTS_AT_ONCE)
            if page is None:
                interaction = await self.read_interaction(user_id, interaction_id)
                answer = BackgroundAnswer(interaction=interaction)
                return FollowedAnswer(answer, self._whole(interaction, after), is_kept=False)
            answer = replace(page.answer, interaction=await self._loaded(page.answer.interaction))
            following = Following(answer, await self._complete(page), page.is_ended)
        return FollowedAnswer(following.answer, self._events(key, following, after + 1))

    async def _is_removed(self, key: AnswerKey) -> bool:
        """Return whether an answer that has ended was erased or expired: no task reads its log any more."""
        return await self.log.read(key, after=-1, limit=1) is None

    def begun(self, answer: BackgroundAnswer) -> FollowedAnswer:
        """Return an answer that has just begun, with all its events; readers wait if the log cannot be read."""
        following = self._followed.get(answer.key) or Following(answer)
        return FollowedAnswer(following.answer, self._events(answer.key, following, 0))

    async def _events(
        self, key: AnswerKey, following: Following, number: int
    ) -> AsyncGenerator[NumberedEvent, None]:
        following = self._followed.setdefault(key, following)
        following.readers += 1
        if following.task is None and not following.is_ended:
            following.task = asyncio.get_running_loop().create_task(
                self._read(key, following), name=f"follow {key.interaction_id}"
            )
        try:
            while True:
                changed = following.changed
                while number < len(following.events):
                    yield NumberedEvent(number, following.events[number])
                    number += 1
                if following.is_ended:
                    return
                await changed.wait()
        finally:
            following.readers -= 1
            if following.readers == 0:
                if self._followed.get(key) is following:
                    del self._followed[key]
                if following.task is not None:
                    following.task.cancel()
                    following.task = None

    async def _read(self, key: AnswerKey, following: Following) -> None:
        """Read the log until its end; while it cannot be read, readers wait."""
        try:
            with self.log.subscribe(key) as added:
                while await self._read_page(key, following, added):
                    pass
        except asyncio.CancelledError:
            raise  # no reader is left; the next one continues
        except BaseException:
            following.end()  # readers reconnect, and get the reason
            raise
        following.end()

    async def _read_page(self, key: AnswerKey, following: Following, added: asyncio.Event) -> bool:
        """Read more, or wait until there may be more; return whether more may follow."""
        added.clear()  # before reading, so that no event added meanwhile is missed
        try:
            page = await self.log.read(key, after=len(following.events) - 1, limit=_EVENTS_AT_ONCE)
            events = [] if page is None else await self._complete(page)
        except HistoryDamaged:
            return False
        except HistoryUnreadable:
            await self.clock.sleep(_LOOK_AGAIN_SECONDS)
            return True
        if page is None:  # erased
            return False
        if events:
            following.events += events
            following.poll_seconds = 0.0
            following.wake()
        elif not page.is_ended:
            await _set_within(added, self._poll_seconds(key, following))
        return not page.is_ended

    def _poll_seconds(self, key: AnswerKey, following: Following) -> float:
        """Return when to read again: other processes send no notifications, this one does."""
        if key in self.made_here():
            return _LOOK_AGAIN_SECONDS
        poll_seconds = max(self.log.poll_seconds, 2 * following.poll_seconds)
        following.poll_seconds = min(poll_seconds, _LONGEST_POLL_SECONDS)
        return following.poll_seconds

    async def _complete(self, page: LogPage) -> list[LogEvent]:
        """Return the events of a page, the outcome with its long texts."""
        events = list(page.events)
        if events and isinstance(events[-1], Interaction):
            events[-1] = await self._loaded(events[-1])
        return events

    async def _loaded(self, interaction: Interaction) -> Interaction:
        (complete,) = await self.read_interaction.load_contents([interaction])
        return complete

    async def _whole(
        self, interaction: Interaction, after: int
    ) -> AsyncGenerator[NumberedEvent, None]:
        """Yield an answer without a log: its model, its text and the outcome."""
        while interaction.status is Status.IN_PROGRESS:  # its log is on another host
            await self.clock.sleep(_LOOK_AGAIN_SECONDS)
            try:
                interaction = await self.read_interaction(interaction.user_id, interaction.id)
            except HistoryUnreadable:
                continue
            except NotFound:
                return
        events: list[LogEvent] = [
            ProviderSelected(provider=interaction.provider or "", model=interaction.model)
        ]
        if interaction.text:
            events.append(interaction.text)
        events.append(interaction)
        if after >= 0:
            events.insert(0, Restarted(EXPIRED))
        for number, event in enumerate(events):
            yield NumberedEvent(number, event)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most this many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
