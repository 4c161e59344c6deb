"""What history can fail with."""

from domain.exceptions.base import DomainError


class HistoryError(DomainError):
    """History does not do its part."""


class HistoryUnavailable(HistoryError):
    """Nothing can be kept right now; not kept, safe to try again."""

    code = "history-unavailable"


class Unstorable(HistoryUnavailable):
    """The store refuses one of these interactions, and would refuse it again; the others may be kept.

    Attributes:
        reason: Why, for an operator: one of a handful of fixed texts, nothing of what is refused.
    """

    def __init__(self, reason: str = "the store refuses it") -> None:
        super().__init__(reason)
        self.reason = reason


class QueueUnavailable(HistoryError):
    """The queue in front of the store does not answer; what is in it stays there."""

    code = "history-unavailable"


class HistoryNotDurable(HistoryError):
    """The answer came, but could not be kept."""

    code = "history-not-durable"


class HistoryUnreadable(HistoryError):
    """The store cannot be read right now."""

    code = "history-store-unavailable"


class HistoryDamaged(HistoryUnreadable):
    """The store answers, with what this program cannot read; asking again changes nothing."""
