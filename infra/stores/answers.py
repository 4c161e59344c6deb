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
    store = configured_store(settings)
    if settings.outbox_enabled and not store.is_embedded:
        return open_local_answers(settings, clock)
    return store.open_answers(settings, clock)
