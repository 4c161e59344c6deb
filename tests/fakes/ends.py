"""What a request or a message came to, as whoever keeps count is told."""

from dataclasses import replace
from typing import Any

from domain.interfaces.interaction_queue import Delivery
from domain.interfaces.telemetry import RequestOutcome
from tests.fakes.chat_contexts import a_chat_context


def answered(
    route: str,
    method: str,
    status: int,
    seconds: float,
    *,
    llm_seconds: float | None = None,
    **more: Any,
) -> RequestOutcome:
    """Return a request that has ended; one that waited for a model is a chat."""
    context = None if llm_seconds is None else replace(a_chat_context(), llm_seconds=llm_seconds)
    return RequestOutcome(
        route=route, method=method, status=status, seconds=seconds, context=context, **more
    )


def a_delivery() -> Delivery:
    return Delivery(message_id="1", receipt="r", body="{}", sent_milliseconds=0)
