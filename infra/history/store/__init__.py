"""Parts common to all store adapters: the port with tombstones, retention, batching of appends, reachability."""
