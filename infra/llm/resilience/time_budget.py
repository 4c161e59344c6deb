"""How long a turn still has."""

from domain.entities.chat_request_context import ChatRequestContext


def seconds_to_first_text(context: ChatRequestContext, now_seconds: float) -> float:
    """Return the seconds in which a first word still helps the caller; negative once it is too late."""
    return min(
        context.first_text_deadline.remaining_seconds(now_seconds),
        context.answer_deadline.remaining_seconds(now_seconds),
    )
