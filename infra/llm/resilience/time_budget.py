"""The remaining time of a request."""

from domain.entities.chat_request_context import ChatRequestContext


def seconds_to_first_text(context: ChatRequestContext, now_seconds: float) -> float:
    """Return the seconds until the first text is due; negative once it is overdue."""
    return min(
        context.first_text_deadline.remaining_seconds(now_seconds),
        context.answer_deadline.remaining_seconds(now_seconds),
    )
