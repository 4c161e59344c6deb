"""Opens the event logs of background answers, where the installation accepts interactions."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from infra.stores.registry import configured_store
from infra.stores.sqlite import open_local_answers

if TYPE_CHECKING:
    from domain.interfaces.answer_log import AnswerLog
    from domain.interfaces.clock import Clock
    from infra.settings.answers import AnswerSettings


def open_answer_log(
    settings: "AnswerSettings", clock: "Clock"
) -> AbstractAsyncContextManager["AnswerLog"]:
    """Open the logs on this host's disk, or in the store if there is neither an embedded store nor an outbox.

    Raises:
        ConfigurationError: The settings contradict each other, or the store cannot be opened.
    """
    if is_log_apart(settings):
        return open_local_answers(settings, clock)
    return configured_store(settings).open_answers(settings, clock)


def is_log_apart(settings: "AnswerSettings") -> bool:
    """Return whether the logs are on this host's disk and the store is not, so that hosts do not erase each other's logs."""
    return settings.outbox_enabled and not configured_store(settings).is_embedded
