"""The servers of a measurement: a provider that answers at once, and the minimum of any proxy."""
