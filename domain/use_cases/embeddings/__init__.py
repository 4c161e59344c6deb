"""Computes embeddings."""
