"""Locks between processes that the kernel drops when their holder ends, however it ends (flock)."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_lock(path: Path) -> int:
    """A handle that a lock can be taken on; to close it, or to end, gives the lock back."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock alone; waits for it."""
    handle = open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock, shared or alone."""
    handle = open_lock(path)
    try:
        return take(handle, 0)
    finally:
        os.close(handle)


def take(handle: int, seconds: float) -> bool:
    """Take the lock alone; False if another one still holds it after so many `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True
