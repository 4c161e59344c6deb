"""Read one interaction."""

from dataclasses import dataclass

from domain.entities.interaction import Interaction
from domain.exceptions import NotFound
from domain.interfaces.history import HistoryRepository
from domain.use_cases.load_contents import CONTENTS_AS_STORED, LoadContents


@dataclass(frozen=True, slots=True)
class ReadInteraction:
    """Returns one of a user's interactions, of any status."""

    history: HistoryRepository
    load_contents: LoadContents = CONTENTS_AS_STORED

    async def __call__(
        self, user_id: str, interaction_id: str, *, wait_seconds: float = 0.0
    ) -> Interaction:
        """Return the interaction, as soon as it is visible and after `wait_seconds` at the latest.

        Raises:
            NotFound: This user has no interaction with this id; another user may have.
            HistoryUnreadable: The store cannot be read.
        """
        interaction = await self.history.find(user_id, interaction_id)
        if interaction is None and wait_seconds:
            await self.history.wait_for(user_id, interaction_id, seconds=wait_seconds)
            interaction = await self.history.find(user_id, interaction_id)
        if interaction is None:
            raise NotFound
        (complete,) = await self.load_contents([interaction])
        return complete
