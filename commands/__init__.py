"""Implementations of the commands of `python main.py`, except `serve`. Opens nothing when imported."""
