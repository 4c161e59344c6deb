"""Reads and deletes responses on behalf of a caller."""

from dataclasses import dataclass, replace

from app.services.response_ids import ResponseIds, require_owner
from domain.entities.caller import Caller, Scope
from domain.entities.interaction import Interaction, Status, milliseconds_of
from domain.exceptions import InvalidInput, NotFound, PreviousResponseNotFound, UnsupportedInput
from domain.interfaces.clock import Clock
from domain.use_cases.background.follow_answer import FollowAnswer, FollowedAnswer
from domain.use_cases.background.read_answer import ReadAnswer
from domain.use_cases.background.stop_answer import StopAnswer
from domain.use_cases.erase_history import EraseHistory
from domain.use_cases.read_interaction import ReadInteraction

_WAIT_SECONDS = 3.0
_LOOK_SECONDS = 0.05
_RECENT_SECONDS = 600.0
"""Older interactions are in the store, or nowhere."""


@dataclass(frozen=True, slots=True)
class ResponseService:
    """Checks permissions before the store is used. The id of a response names its user.

    Attributes:
        ids: Makes and reads ids.
        drops_unknown_tools: Tools that are not supported are left out of requests instead of being refused.
    """

    ids: ResponseIds
    read_interaction: ReadInteraction
    erase_history: EraseHistory
    read_answer: ReadAnswer
    follow_answer: FollowAnswer
    stop_answer: StopAnswer
    clock: Clock
    drops_unknown_tools: bool = False

    async def read(self, caller: Caller, response_id: str) -> Interaction:
        """Return the interaction of a response.

        Raises:
            NotFound: There is none, it belongs to another user, or its content is not stored.
            HistoryUnreadable: The store, or the log, cannot be read.
        """
        interaction_id, user_id = self._owned(caller, response_id, Scope.HISTORY_READ)
        return await self._current(user_id, interaction_id)

    async def follow(self, caller: Caller, response_id: str) -> FollowedAnswer:
        """Return the answer of a response with all its events; raises as `read` does."""
        interaction_id, user_id = self._owned(caller, response_id, Scope.HISTORY_READ)
        followed = await self.follow_answer(user_id, interaction_id)
        if not followed.answer.interaction.is_content_stored:
            await followed.events.aclose()
            raise NotFound
        return followed

    async def cancel(self, caller: Caller, response_id: str) -> Interaction:
        """End a background response and return it with its outcome; a complete one is returned unchanged.

        A caller without the scope `history:read` gets the content only if the response was in progress and has been
        cancelled.

        Raises:
            UnsupportedInput: It is not a background response.
            NotFound: As in `read`.
            HistoryUnreadable: The store, or the log, does not answer.
        """
        interaction_id, user_id = self._owned(caller, response_id, Scope.CHAT_WRITE)
        interaction = await self._current(user_id, interaction_id)
        if not interaction.is_background:
            raise UnsupportedInput("cancel")
        was_cancelled = False
        if interaction.status is Status.IN_PROGRESS:
            interaction = await self._cancelled(user_id, interaction_id)
            was_cancelled = interaction.status is Status.CLIENT_CANCELLED
        if was_cancelled or Scope.HISTORY_READ in caller.scopes:
            return interaction
        return replace(interaction.without_content(), is_content_stored=True)

    async def _cancelled(self, user_id: str, interaction_id: str) -> Interaction:
        """End a response in progress and return it; still in progress if it has no outcome within 3 s."""
        await self.stop_answer(user_id, interaction_id)
        until_seconds = self.clock.monotonic() + _WAIT_SECONDS
        while True:
            interaction = await self._current(user_id, interaction_id)
            if interaction.status is not Status.IN_PROGRESS:
                return interaction
            if self.clock.monotonic() >= until_seconds:
                return interaction
            await self.clock.sleep(_LOOK_SECONDS)

    async def interaction(self, caller: Caller, user_id: str, interaction_id: str) -> Interaction:
        """Return an interaction of a user the caller may chat for; raises as `read` does."""
        caller.require(Scope.CHAT_WRITE, user_id)
        return await self._stored(user_id, interaction_id)

    async def check_previous(self, caller: Caller, user_id: str, interaction_id: str) -> None:
        """Check that a response can be continued; one that is on its way to the store is waited for.

        Raises:
            PreviousResponseNotFound: There is none, it belongs to another user, or its content is not stored.
            InvalidInput: It is still in progress.
            HistoryUnreadable: The store cannot be read.
        """
        caller.require(Scope.CHAT_WRITE, user_id)
        age_seconds = (self.clock.now_milliseconds() - milliseconds_of(interaction_id)) / 1000
        wait_seconds = _WAIT_SECONDS if abs(age_seconds) < _RECENT_SECONDS else 0.0
        try:
            previous = await self._stored(user_id, interaction_id, wait_seconds=wait_seconds)
        except NotFound as exc:
            raise PreviousResponseNotFound from exc
        if previous.status is Status.IN_PROGRESS:
            raise InvalidInput("previous_response_id", "is still in progress")

    async def delete(self, caller: Caller, response_id: str) -> None:
        """Erase the interaction of a response; raises as `read` does."""
        interaction_id, user_id = self._owned(caller, response_id, Scope.HISTORY_ERASE)
        await self._stored(user_id, interaction_id)
        await self.erase_history.one(user_id, interaction_id)

    def _owned(self, caller: Caller, response_id: str, scope: Scope) -> tuple[str, str]:
        found = self.ids.read_response(response_id)
        if found is None:
            raise NotFound
        interaction_id, user_id = found
        require_owner(caller, scope, user_id)
        return interaction_id, user_id

    async def _current(self, user_id: str, interaction_id: str) -> Interaction:
        """Return an interaction, which is in its log only until history has it."""
        return _with_content(await self.read_answer(user_id, interaction_id))

    async def _stored(
        self, user_id: str, interaction_id: str, *, wait_seconds: float = 0.0
    ) -> Interaction:
        return _with_content(
            await self.read_interaction(user_id, interaction_id, wait_seconds=wait_seconds)
        )


def _with_content(interaction: Interaction) -> Interaction:
    """Return the interaction; raises `NotFound` if its content is not stored."""
    if not interaction.is_content_stored:
        raise NotFound
    return interaction
