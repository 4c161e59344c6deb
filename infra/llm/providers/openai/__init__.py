"""Servers with the Chat Completions API: their client, requests and answers."""
