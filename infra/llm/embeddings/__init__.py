"""Embeddings through the resilience of chats: one chain per embeddings model."""
