"""Starts services, sends load, and writes down what it cost."""
