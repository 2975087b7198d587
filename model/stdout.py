"""Standard output whose reader may leave before all is printed, as `| head` does."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

READER_LEFT = 141  # 128 + SIGPIPE, as a shell says it of others; as 130 is Ctrl-C


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Where the reader of stdout has gone, end the process by READER_LEFT, without a word."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # as it is where it was closed from the start
                sys.stdout.flush()  # at exit, an error could not be caught
    except BrokenPipeError:
        # what is left is flushed once more at exit, and must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(READER_LEFT) from None
