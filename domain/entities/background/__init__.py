"""Answers that go on without a connection: their requests, and the records of their logs."""
