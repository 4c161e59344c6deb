"""Event stream of one answer."""

from collections.abc import AsyncGenerator

from domain.entities.interaction import ChatEvent

AnswerEvents = AsyncGenerator[ChatEvent, None]
"""The events of one answer in order; the interaction is the last one."""
