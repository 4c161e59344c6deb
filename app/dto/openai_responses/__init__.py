"""Request and response bodies and stream events in OpenAI's Responses format."""
