"""How long a turn still has."""

from domain.entities.chat_request_context import ChatRequestContext


def seconds_to_first_text(turn: ChatRequestContext, now_seconds: float) -> float:
    """Return the seconds in which a first word still helps the caller; negative once it is too late."""
    return min(
        turn.first_text_by.remaining_seconds(now_seconds),
        turn.whole_by.remaining_seconds(now_seconds),
    )
