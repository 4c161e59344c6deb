"""Reading the events of a background answer in the response to the request that began it."""

from fastapi import Request

from app.requests.request_context import container_of
from domain.entities.background.answer import BackgroundAnswer
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Interaction
from domain.use_cases.background.follow_answer import FollowedAnswer


async def follow_accepted(
    context: ChatRequestContext, interaction: Interaction, request: Request
) -> FollowedAnswer:
    """Return the answer that a request began, or that it repeats, with all its events.

    Raises:
        HistoryUnreadable: The request repeats another one, and the log cannot be read.
    """
    background = container_of(request).background
    if context.is_replayed:
        return await background.follow_repeated(interaction)
    request_id = request.scope["state"]["request_id"]
    return background.follow_begun(BackgroundAnswer(interaction=interaction, request_id=request_id))
