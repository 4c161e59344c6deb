"""End a background answer at the user's request."""

from dataclasses import dataclass

from domain.entities.background.answer import AnswerKey
from domain.entities.interaction import Status
from domain.exceptions import HistoryUnreadable
from domain.interfaces.answer_log import AnswerLog
from domain.use_cases.background.read_answer import ReadAnswer
from domain.use_cases.background.run_answers import RunAnswers


@dataclass(frozen=True, slots=True)
class StopAnswer:
    """Stops an answer, whichever process generates it."""

    log: AnswerLog
    answers: RunAnswers
    read_answer: ReadAnswer

    async def __call__(self, user_id: str, interaction_id: str) -> None:
        """End the answer within a second; a complete answer, or one that is not a background answer, is not changed.

        Raises:
            NotFound: This user has no such interaction.
            HistoryUnreadable: The log, or history, is unavailable; or the log is on the disk of another host.
        """
        key = AnswerKey(user_id=user_id, interaction_id=interaction_id)
        if await self.log.stop(key):
            self.answers.stop(key)
            return
        interaction = await self.read_answer(user_id, interaction_id)
        if interaction.status is not Status.IN_PROGRESS:
            return
        if await self.log.read(key, after=-1, limit=1) is None:
            raise HistoryUnreadable
