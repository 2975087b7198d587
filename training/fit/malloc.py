"""Keeps glibc from giving large temporaries back to the kernel after each use.

A training step makes and drops arrays of 10 to 200 MB; mapping and clearing their pages anew each
time costs up to half of it. No effect where the C library is another one.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """For the rest of the process: no mmap for large blocks, no trimming below 1 GiB."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
