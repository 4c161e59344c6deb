"""Implementations of the commands of `python main.py`, except `serve`, and its start message. Opens nothing when imported."""
