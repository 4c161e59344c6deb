"""What a reader or a decoder returned, in a form that is easy to compare."""

from collections.abc import Iterable

from domain.entities.items import ToolCall
from domain.entities.reply import AnswerEvent, ReasoningDelta
from infra.llm.transport.response_parser import Received


def events_of(*received: Received) -> list[AnswerEvent]:
    """Return the events, consecutive texts and consecutive reasoning joined."""
    joined: list[AnswerEvent] = []
    for part in received:
        for event in (part,) if isinstance(part, str) else part:
            before = joined[-1] if joined else None
            if isinstance(event, str) and isinstance(before, str):
                joined[-1] = before + event
            elif isinstance(event, ReasoningDelta) and isinstance(before, ReasoningDelta):
                joined[-1] = ReasoningDelta(before.text + event.text)
            elif event != "":
                joined.append(event)
    return joined


def text_of(*received: Received) -> str:
    """Return the text alone."""
    return "".join(event for event in events_of(*received) if isinstance(event, str))


def reasoning_of(events: Iterable[AnswerEvent]) -> str:
    """Return the reasoning alone."""
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def calls_of(events: Iterable[AnswerEvent]) -> list[tuple[str, str]]:
    """Return the name and the arguments of each call."""
    return [(event.name, event.arguments) for event in events if isinstance(event, ToolCall)]
