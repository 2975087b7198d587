"""Locks between processes that the kernel drops when their holder ends, however it ends (flock).

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder, locked(Path(folder, "lock")):
...     is_free(Path(folder, "lock"))
False
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_lock(path: Path) -> int:
    """A handle that a lock can be taken on; the file is made where there is none. To close the
    handle, or to end, gives the lock back.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def open_folder_lock(folder: Path) -> int:
    """The same on a folder, which may be read-only.

    Raises:
        OSError: there is no such folder.
    """
    return os.open(folder, os.O_RDONLY)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock exclusively; waits for it."""
    with _held(open_lock(path)):
        yield


@contextmanager
def locked_passing(path: Path) -> Iterator[None]:
    """Hold the lock exclusively; waits for it. Its file is there no longer than it is held."""
    handle = open_lock(path)
    fcntl.flock(handle, fcntl.LOCK_EX)
    while not _is_at(handle, path):  # who held it before has removed the file
        os.close(handle)
        handle = open_lock(path)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder exclusively; waits for it.

    Raises:
        OSError: there is no such folder.
    """
    with _held(open_folder_lock(folder)):
        yield


def is_free(path: Path) -> bool:
    """Whether no process holds the lock, shared or exclusively."""
    handle = open_lock(path)
    try:
        return take(handle, 0)
    finally:
        os.close(handle)


def take(handle: int, seconds: float) -> bool:
    """Take the lock exclusively; False if another one still holds it after so many `seconds`."""
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


def take_shared(handle: int) -> None:
    """Take the lock together with others that take it so; waits while one holds it exclusively."""
    fcntl.flock(handle, fcntl.LOCK_SH)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def _held(handle: int) -> Iterator[None]:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
