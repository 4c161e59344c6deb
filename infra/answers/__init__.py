"""The event logs of background answers: one adapter a store."""
