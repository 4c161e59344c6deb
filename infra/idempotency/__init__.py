"""Where it is kept who is carrying out which request."""
