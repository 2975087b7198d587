"""A command line made with typer, and one call of it turned into an exit status: a mistake of the
user is one line on stderr.

>>> app = command_line("Says hello.", "hello world")
>>> @app.command()
... def hello(name: str) -> None:
...     print(f"hello {name}")
>>> @app.command()
... def bye() -> None:
...     print("bye")
>>> run_command(app, "greet", ["hello", "world"])
hello world
0
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer

from model.errors import AfmError

INTERRUPTED = 130  # 128 + SIGINT, which typer returns after Ctrl-C
READER_LEFT = 141  # 128 + SIGPIPE, as a shell says it of others


def command_line(description: str, *examples: str) -> typer.Typer:
    """An empty command line, to which commands are added by `@app.command(epilog=...)`; each
    example is one call of it, as a shell takes it.

    Its help is plain text, which comes faster than a drawn table and can be searched by a pipe.
    """
    return typer.Typer(
        help=description,
        epilog=epilog(*examples),
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def epilog(*examples: str) -> str:
    """The end of a command's `--help`: one line for each example, kept as it is."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)])


def run_command(
    app: typer.Typer,
    program: str,
    argv: Sequence[str] | None,
    interrupted: str = "interrupted",
) -> int:
    """Run the command of `app` that `argv` names; the process's own arguments where it is None.

    Returns 0, the status of an AfmError, 2 for arguments that cannot be used, or 130 after Ctrl-C,
    when stderr gets the line `interrupted`.
    """
    command = typer.main.get_command(app)
    with reader_may_leave():
        try:
            status = command(argv, prog_name=program, standalone_mode=False)
        except AfmError as error:
            sys.stderr.write(f"{program}: {error}\n")
            return error.exit_code
        except typer.TyperException as error:
            sys.stderr.write(f"{program}: {_usage_fault(error)}\n")
            return error.exit_code
        if status == INTERRUPTED:
            sys.stderr.write(f"{program}: {interrupted}\n")
        return int(status or 0)


def _usage_fault(error: typer.TyperException) -> str:
    fault = " ".join(error.format_message().split()).rstrip(".").replace(": Value error, ", ": ")
    context = getattr(error, "ctx", None)
    return fault if context is None else f"{fault}; see {context.command_path} --help"


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
        _end_without_reader()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # as typer ends a command, by status 1
            _end_without_reader()
        raise


def _end_without_reader() -> NoReturn:
    # what is left is flushed once more at exit, and must go somewhere
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(READER_LEFT) from None
