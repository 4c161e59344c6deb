"""Whether it may happen: permission, limits, once-only. Knows nothing of HTTP."""
