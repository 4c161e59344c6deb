"""Clients around clients: each adds one thing to the way an answer is got."""
