"""Converts errors to responses: RFC 9457 problems or OpenAI errors, from one table."""
