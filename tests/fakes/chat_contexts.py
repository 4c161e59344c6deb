"""A request on its way, as the service would have made it."""

import time

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline


def a_chat_context(
    *,
    first_text_seconds: float = 60.0,
    whole_seconds: float = 60.0,
    has_fallback: bool = False,
    is_streamed: bool = False,
    now_seconds: float | None = None,
) -> ChatRequestContext:
    """Return a turn that began now, on the host's monotonic clock unless another moment is given."""
    now = time.monotonic() if now_seconds is None else now_seconds
    return ChatRequestContext(
        id="01a20389-ce6f-7000-920f-5a0c1137e7a7",
        user_id="ana",
        model="a-model",
        started_seconds=now,
        first_text_deadline=Deadline(now + first_text_seconds),
        answer_deadline=Deadline(now + whole_seconds),
        has_fallback=has_fallback,
        is_streamed=is_streamed,
    )
