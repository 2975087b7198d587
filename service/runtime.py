"""Every setting of a whole process or thread that the service changes: threads, memory, files."""

import ctypes
import gc
import os
import resource
import sys
import threading
from contextlib import suppress

SWITCH_SECONDS = 0.0005  # Python's 5 ms are what a request would wait while a version is loaded
NICENESS = 5  # of a background thread: a third of a request's share where there are too few cores


def switch_threads_often() -> None:
    """Let the thread of requests have the interpreter soon after it asks for it."""
    sys.setswitchinterval(SWITCH_SECONDS)


def prefer_other_threads() -> None:
    """Lower the priority of this thread for good."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def freeze_objects() -> None:
    """Take all objects that live now out of the garbage collector's sight: else it walks the large
    ones of a version again and again, while requests wait.
    """
    gc.collect()
    gc.freeze()


def trim_memory() -> None:
    """Give freed memory back to the system. glibc keeps it, in pieces that the next version does
    not fit into: without this a worker grows by tens of megabytes over its first swaps.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def write_no_core() -> None:
    """Leave no memory image behind after a crash: it would hold keys and requests.

    Raises:
        OSError, ValueError: the system does not allow it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def open_as_many_files_as_allowed() -> int:
    """Raise the number of open files to the most that the system allows this user; returns it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def open_files_limit() -> int:
    """How many files, connections among them, this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
