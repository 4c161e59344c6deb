"""Tuning of the memory allocator."""

import ctypes

_M_MMAP_THRESHOLD = -3
_BYTES = 1024 * 1024


def return_large_blocks() -> None:
    """Let freed blocks from 1 MiB on go back to the system at once; no-op where the C library is not glibc.

    By default glibc raises this limit up to 32 MiB as soon as a block of that size was freed. Attachments then
    stay in the heap of each thread that has handled one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BYTES)
