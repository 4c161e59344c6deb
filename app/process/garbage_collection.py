"""Tuning of Python's garbage collector. Imports only `gc`, so that it can run before other modules are imported."""

import gc

# Reference counting frees nearly all objects of a request; few are in cycles. With the default threshold of 700 new
# objects, collections took a sixth of the time of a request (docs/decisions/hot-path.md).
_NEW_OBJECTS = 10_000
# Objects of requests in flight survive the young generation. Collecting the middle generation after every second young
# collection keeps it small, so each pause is short; the total time is the same.
_YOUNG_COLLECTIONS = 2
_MIDDLE_COLLECTIONS = 100


def pause() -> None:
    """Disable the collector during start-up; the objects created then live as long as the process."""
    gc.disable()


def freeze() -> None:
    """Exclude all existing objects from collections, which would write to memory that forked processes share."""
    gc.freeze()


def freeze_and_resume() -> None:
    """Exclude all existing objects from collections, and enable the collector with higher thresholds."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _YOUNG_COLLECTIONS, _MIDDLE_COLLECTIONS)
    gc.enable()
