"""Where interactions are kept: the embedded store, MongoDB, and what stands in front of them."""
