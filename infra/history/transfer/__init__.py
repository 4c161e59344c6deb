"""Whole-store import, export and migration."""
