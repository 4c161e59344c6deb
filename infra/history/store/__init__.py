"""What every store adapter has: the port with tombstones, retention, batching of appends, reachability."""
