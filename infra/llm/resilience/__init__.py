"""Deadlines, retries, circuit breakers, concurrency limits and fallback around an `LLMClient`."""
