"""Requests for embeddings, and their vectors."""
