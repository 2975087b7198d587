"""What the tables of benchmarks/README.md have in common: the machine, and their place there."""

import os
import platform
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

README = Path(__file__).parent / "README.md"


def circumstances(*packages: str) -> str:
    """When, and on what, something was measured."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    machine = f"{cpu_model()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"Measured on {datetime.now(UTC):%d %B %Y}: {machine}, {versions}."


def table(head: list[str], lines: list[list[object]]) -> str:
    """A Markdown table."""
    rows: list[list[Any]] = [head, ["--:"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def verdict(promised: str, holds: bool) -> str:
    """A promise that depends on the machine, and whether it holds here."""
    return f"{promised}: {'holds' if holds else 'does not hold'}"


def cpu_model() -> str:
    """The processor by its name, where Linux tells it."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def keep(name: str, text: str) -> None:
    """Put a section's text between its two markers in benchmarks/README.md."""
    before, _, after = _parts(name)
    README.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")


def kept(name: str) -> list[list[object]]:
    """The rows of the table that a section has."""
    lines = [line for line in _parts(name)[1].splitlines() if line.startswith("| ")]
    return [list(line[2:-2].split(" | ")) for line in lines[2:]]


def _parts(name: str) -> tuple[str, str, str]:
    # up to a section's first marker, between its two, and from its last on
    begin, end = (f"<!-- {name}:{edge} -->" for edge in ("begin", "end"))
    before, rest = README.read_text(encoding="utf-8").split(begin)
    inside, after = rest.split(end)
    return before + begin, inside, end + after


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)
