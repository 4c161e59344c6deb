"""Adapters of the domain's ports. Never imports `app`."""
