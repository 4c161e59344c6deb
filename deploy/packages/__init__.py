"""What the service is made of: locks, their audit, a bill of materials."""
