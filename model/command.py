"""One call of a command line to its exit status: what the user did wrong is one line on stderr."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from model.errors import AfmError

READER_LEFT = 141  # 128 + SIGPIPE, as a shell says it of others; as 130 is Ctrl-C


def run(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, interrupted: str = "interrupted"
) -> int:
    """Call `run` of the arguments that `parser` makes of `argv`, the process's own where that is
    None; returns 0, an error's own status, or 130 after Ctrl-C, which is told as `interrupted`.
    """
    with reader_may_leave():
        arguments = parser.parse_args(argv)
        try:
            arguments.run(arguments)
        except AfmError as error:
            sys.stderr.write(f"{parser.prog}: {error}\n")
            return error.exit_code
        except KeyboardInterrupt:
            sys.stderr.write(f"{parser.prog}: {interrupted}\n")
            return 130
        return 0


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
