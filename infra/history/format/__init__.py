"""The stored JSON document: the only place that lists an interaction's fields for storage."""
