"""Tuning of the memory allocator."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 4 * 1024 * 1024
_SPARE_BYTES = 32 * 1024 * 1024


def return_large_blocks() -> None:
    """Return freed blocks of 4 MiB and more to the system at once; no-op if the C library is not glibc.

    By default glibc raises this limit up to 32 MiB as soon as a block of that size was freed. Attachments then
    stay in the heap of each thread that has handled one. Smaller blocks, as those of long answers, stay in the heap
    as they do by default once it has grown: up to 32 MiB at its end are not returned.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _SPARE_BYTES)
