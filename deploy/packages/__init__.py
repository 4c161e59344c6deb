"""The dependencies: locks, their audit, and a bill of materials."""
