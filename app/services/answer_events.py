"""An answer as it comes."""

from collections.abc import AsyncGenerator

from domain.entities.interaction import Interaction
from domain.entities.reply import ProviderSelected

AnswerEvents = AsyncGenerator[ProviderSelected | str | Interaction, None]
"""Who answers, the text bit by bit, then the interaction it became."""
