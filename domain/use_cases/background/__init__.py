"""Making, continuing, reading and stopping answers that go on without a connection."""
