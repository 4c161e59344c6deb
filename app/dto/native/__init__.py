"""Request and response bodies and stream events of the service's own API."""
