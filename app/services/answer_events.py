"""Events of an answer, as services and controllers receive them."""

from collections.abc import AsyncGenerator

from domain.entities.interaction import Interaction
from domain.entities.items import ToolCall
from domain.entities.reply import ProviderSelected, ReasoningDelta

ChatEvent = ProviderSelected | str | ReasoningDelta | ToolCall | Interaction
"""The selected provider, a piece of text or of reasoning, a complete tool call, or the stored interaction at the end."""

AnswerEvents = AsyncGenerator[ChatEvent, None]
"""The events of one answer in order; the interaction is the last one."""
