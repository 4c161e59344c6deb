"""Writes a log line when a background answer ends, which is later than the end of its request."""

import logging

from app.log_lines.fields import ProviderName, answer_line
from domain.entities.background.answer import BackgroundAnswer
from domain.entities.interaction import Interaction
from domain.interfaces.telemetry import BackgroundObserver

_logger = logging.getLogger(__name__)


class AnswerLogLines(BackgroundObserver):
    """The process that ends an answer writes its line, even if another process began it."""

    def __init__(self, provider_name: ProviderName) -> None:
        self._provider_name = provider_name

    def answer_begun(self, answer: BackgroundAnswer) -> None:
        """Write nothing: the request has a line."""

    def answer_taken_over(self, answer: BackgroundAnswer) -> None:
        fields = {
            "http": {"request": {"id": answer.request_id}},
            "rt": {"interaction_id": answer.interaction.id},
        }
        _logger.info("background answer taken over", extra={"ecs": fields})

    def answer_restarted(self, answer: BackgroundAnswer, reason: str) -> None:
        """Write nothing: the attempts show it."""

    def records_written(self, *, seconds: float) -> None:
        """Write nothing."""

    def answer_ended(self, answer: BackgroundAnswer, interaction: Interaction) -> None:
        if _logger.isEnabledFor(logging.INFO):
            message, fields = answer_line(answer, interaction, self._provider_name)
            _logger.info(message, extra={"ecs": fields})
