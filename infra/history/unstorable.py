"""What no retry can help."""

from domain.exceptions import HistoryUnavailable


class Unstorable(HistoryUnavailable):
    """The store refuses one of these interactions, and would refuse it again; the others may be kept."""
