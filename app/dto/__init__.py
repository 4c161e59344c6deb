"""What goes over the wire, and the two arrows between it and the domain."""
