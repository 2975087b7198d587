"""One call of a command line to its exit status: what the user did wrong is one line on stderr."""

import argparse
import sys
from collections.abc import Sequence

from model.errors import AfmError
from model.stdout import reader_may_leave


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
