"""Follows and stops background answers on behalf of a caller."""

from dataclasses import dataclass

from domain.entities.background.answer import BackgroundAnswer
from domain.entities.caller import Caller, Scope
from domain.entities.interaction import Interaction
from domain.use_cases.background.follow_answer import FollowAnswer, FollowedAnswer
from domain.use_cases.background.run_answers import RunAnswers
from domain.use_cases.background.stop_answer import StopAnswer


@dataclass(frozen=True, slots=True)
class BackgroundService:
    """Checks permissions before the log is used.

    Attributes:
        answers: The answers that this process generates.
    """

    answers: RunAnswers
    follow_answer: FollowAnswer
    stop_answer: StopAnswer

    async def follow(
        self, caller: Caller, user_id: str, interaction_id: str, *, after: int = -1
    ) -> FollowedAnswer:
        """Return an answer with its events with numbers greater than `after`.

        Raises:
            Forbidden: The caller may not read the history of this user.
            NotFound: This user has no such interaction.
            HistoryUnreadable: The log cannot be read.
        """
        caller.require(Scope.HISTORY_READ, user_id)
        return await self.follow_answer(user_id, interaction_id, after=after)

    def follow_begun(self, answer: BackgroundAnswer) -> FollowedAnswer:
        """Return an answer that the caller has just begun, with all its events."""
        return self.follow_answer.begun(answer)

    async def follow_repeated(self, interaction: Interaction) -> FollowedAnswer:
        """Return an answer whose request the caller has repeated, with all its events; raises `HistoryUnreadable`."""
        return await self.follow_answer(interaction.user_id, interaction.id)

    async def stop(self, caller: Caller, user_id: str, interaction_id: str) -> None:
        """End an answer; no-op if it is complete.

        Raises:
            Forbidden: The caller may not chat on behalf of this user.
            NotFound: This user has no such interaction.
            HistoryUnreadable: The log cannot be written.
        """
        caller.require(Scope.CHAT_WRITE, user_id)
        await self.stop_answer(user_id, interaction_id)
