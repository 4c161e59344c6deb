"""Errors of the history store and its queue."""

from domain.exceptions.base import DomainError


class HistoryError(DomainError):
    """Base class of errors of history."""


class HistoryUnavailable(HistoryError):
    """Nothing can be stored at the moment. The interaction was not stored; a retry is safe."""

    code = "history-unavailable"


class Unstorable(HistoryUnavailable):
    """The store rejects one of these interactions permanently; the others may be stored.

    Attributes:
        reason: One of a few fixed texts, for operators; contains nothing of the interaction.
    """

    def __init__(self, reason: str = "the store refuses it") -> None:
        super().__init__(reason)
        self.reason = reason


class AttachmentsUnavailable(HistoryUnavailable):
    """The store of attachments does not answer, so the interactions that refer to them cannot be stored there yet."""


class QueueUnavailable(HistoryError):
    """The queue in front of the store does not answer; its messages stay in it."""

    code = "history-unavailable"


class HistoryNotDurable(HistoryError):
    """The answer arrived, but could not be stored."""

    code = "history-not-durable"


class HistoryUnreadable(HistoryError):
    """The store cannot be read at the moment."""

    code = "history-store-unavailable"


class HistoryDamaged(HistoryUnreadable):
    """The store returns data that this program cannot read; a retry does not help."""


class AnswerExists(HistoryUnavailable):
    """A background answer with this id exists already, or did until it was erased; nothing is changed."""


class AnswerWithdrawn(HistoryUnavailable):
    """A background answer was not accepted and its log was erased, so no process generates it; its id is not used again."""


class LeaseLost(HistoryError):
    """Another process generates the background answer now, or it was erased; nothing was written."""
