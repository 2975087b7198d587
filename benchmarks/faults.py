"""What the service promises under swaps, faults, floods and unauthenticated requests, each measured
on real parts.

One module of promises/ for each; it starts its own service, Redis and load. It raises when what is
promised absolutely (no answer lost, no wrong bit) does not hold; where a time or a ratio does not,
which depends on the machine, its row says so (`verdict` in results.py).

    .venv/bin/python benchmarks/faults.py [NAME ...] [--no-write]
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from results import circumstances, keep, kept, say, table

HERE = Path(__file__).parent
HEAD = ["promise", "what was done", "promised", "figure"]


def main() -> None:
    """Measure the promises named, or all; write their rows of the table as each is done."""
    names = sorted(path.stem for path in (HERE / "promises").glob("[a-z]*.py"))
    parser = argparse.ArgumentParser(description="The promises, measured.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    if strange := set(options.names) - set(names):
        parser.error(f"no such promise: {', '.join(sorted(strange))}")
    sys.path.insert(0, str(HERE / "promises"))
    chosen = options.names or names
    lines = [line for line in kept("faults") if line[0] not in chosen]
    for name in chosen:
        say(name)
        found = [row(name, *line) for line in import_module(name).measure()]
        print(table(HEAD, found), flush=True)
        lines += found
        if not options.no_write:
            lines.sort(key=lambda line: str(line[0]))
            measured = circumstances("onnxruntime", "uvicorn", "redis")
            keep("faults", f"{table(HEAD, lines)}\n\n{measured}")


def row(name: str, what: str, figure: str, promised: str = "") -> list[object]:
    """What a module says of one thing it did, in the order of the table."""
    return [name, what, promised, figure]


if __name__ == "__main__":
    main()
