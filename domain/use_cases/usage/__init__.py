"""Reads the usage of an installation."""
