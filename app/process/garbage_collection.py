"""Python's cycle collector, told what a service is like. Imports nothing, so that it can be told before the rest is imported."""

import gc

# Nearly everything a request makes is freed by its last reference; cycles are the exception. By default the collector
# looks at all of it every 700 new objects, which took a sixth of a request's time (docs/decisions/hot-path.md).
_NEW_OBJECTS = 10_000
# What is in flight survives being looked at while young. With a thousand chats that is a great deal, so the middle ones
# are looked at after every second time, when there are few: nobody waits long, and the sum is the same.
_YOUNG_COLLECTIONS = 2
_MIDDLE_COLLECTIONS = 100


def rest() -> None:
    """Let it not look at all while the process starts: what is made then stays."""
    gc.disable()


def settle() -> None:
    """Take what the start made out of the collector's sight, and let it look at the rest, less often."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _YOUNG_COLLECTIONS, _MIDDLE_COLLECTIONS)
    gc.enable()
