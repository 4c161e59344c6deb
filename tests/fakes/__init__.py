"""Stand-ins that are real: servers that speak the protocol, ports that keep their promise."""
