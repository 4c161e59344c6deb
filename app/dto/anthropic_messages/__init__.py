"""Request and response bodies and stream events in Anthropic's Messages format."""
