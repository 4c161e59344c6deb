"""How each vendor says it: adapters of the domain's ports. Never imports `app`."""
