"""Ports: the interfaces that adapters implement, with their contracts in the docstrings."""
