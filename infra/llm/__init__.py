"""Builds one `LLMClient` for all models out of the folders below."""
