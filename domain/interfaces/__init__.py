"""What the domain needs from outside, as promises in words."""
