"""Read one interaction, also before its row is in history."""

from dataclasses import dataclass

from domain.entities.background.answer import AnswerKey
from domain.entities.interaction import Interaction
from domain.exceptions import NotFound
from domain.interfaces.answer_log import AnswerLog
from domain.use_cases.background.erased_answers import ErasedAnswers
from domain.use_cases.read_interaction import ReadInteraction

_EVENTS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """Returns one of a user's interactions, from the log of a background answer if history has none.

    Behind a queue, history has the row of an accepted answer only once it is consumed.

    Attributes:
        erased: Removes the logs of erased answers before they are read; None without such logs.
    """

    log: AnswerLog
    read_interaction: ReadInteraction
    erased: ErasedAnswers | None = None

    async def __call__(self, user_id: str, interaction_id: str) -> Interaction:
        """Return the interaction.

        Raises:
            NotFound: This user has no interaction with this id; another user may have.
            HistoryUnreadable: The log, or history, cannot be read.
        """
        try:
            return await self.read_interaction(user_id, interaction_id)
        except NotFound:
            key = AnswerKey(user_id=user_id, interaction_id=interaction_id)
            if self.erased is not None:
                await self.erased.before_reading(key)
            interaction = await self._logged(key)
            if interaction is None:
                raise
        (complete,) = await self.read_interaction.load_contents([interaction])
        return complete

    async def _logged(self, key: AnswerKey) -> Interaction | None:
        """Return the outcome at the end of the log, or the accepted interaction; None without a log."""
        page = await self.log.read(key, after=-1, limit=_EVENTS_AT_ONCE)
        interaction = None if page is None else page.answer.interaction
        number = 0
        while page is not None and page.events:
            if isinstance(page.events[-1], Interaction):
                return page.events[-1]
            number += len(page.events)
            page = await self.log.read(key, after=number - 1, limit=_EVENTS_AT_ONCE)
        return interaction
