"""Anthropic's Messages API: its client, requests and answers."""
