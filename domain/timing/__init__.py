"""Time limits of waits."""
