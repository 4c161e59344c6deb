"""What no retry can help."""

from domain.exceptions.history import Unstorable

__all__ = ["Unstorable"]
