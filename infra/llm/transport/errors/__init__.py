"""Error bodies and statuses of providers, mapped to domain errors."""
