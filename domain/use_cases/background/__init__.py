"""Use cases of background answers: generate, take over, follow and stop."""
