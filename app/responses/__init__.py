"""Writing a response: one body, an event stream, a download."""
