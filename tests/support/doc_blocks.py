"""The fenced blocks of the README and of docs/, and which shell commands in them are not run."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)

# Blocks that no test reads or runs as what they are: (page or *, language) -> the reason.
NOT_READ = {
    ("*", "text"): "a drawing, a tree or a shortened table, and no input of any program",
    **{
        ("docs/clients.md", language): "a part of a file that `make clients` runs against real "
        "clients and proxies; tests/unit/house/test_clients_page.py holds the two together"
        for language in ("java", "go", "js", "python", "nginx", "haproxy", "yaml")
    },
}

# Shell commands that are parsed and not run: how they begin -> the reason.
NOT_RUN = {
    "make": "read by `make -n`; tests/e2e/test_makefile.py tries the targets",
    "docker": "needs a container engine: `make e2e` runs the stack",
    "pip": "changes what the tests run with; tests/integration/client imports the folder as it is",
    "afm-train fit": "takes minutes by the defaults; the tutorial's fit is run",
    "afm-train tune": "searches for minutes; tests/integration/search runs it on a small log",
    "afm-train compare": "fits nine nets; tests/integration/compare runs it on a small log",
    "afm-train folds": "fits five nets; tests/integration/compare runs it on a small log",
    "afm-train simulate": "200,000 rows; tests/unit/simulate draws fewer",
    "afm-serve run": "the tests start it on a free port; `--host 0.0.0.0` would be open to others",
    "afm-serve demo": "fits a model first; tests/integration/commands/test_demo.py serves one",
    "afm-serve activate": "VERSION stands for a version; tests/integration/versions activates some",
    "afm-serve rollback": "needs two versions; tests/integration/versions rolls back",
}


@dataclass(frozen=True)
class Block:
    """One fenced block: its page, the line that it begins at, its language and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """The place, as test ids name it."""
        return f"{self.page}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block; assignments before it are among them."""
        lines = re.findall(r"(?:[^\n']|'[^']*')+", self.text.replace("\\\n", " "))
        words = [shlex.split(line, comments=True) for line in lines]
        return [found for found in words if found]

    def documents(self) -> list[Any]:
        """The JSON documents of the block, one after the other."""
        found, rest = [], self.text.strip()
        while rest:
            document, end = json.JSONDecoder().raw_decode(rest)
            found.append(document)
            rest = rest[end:].strip()
        return found


def blocks(*languages: str) -> list[Block]:
    """All blocks, or those of some languages."""
    return [
        Block(
            str(path.relative_to(ROOT)), text[: found.start()].count("\n") + 1, found[1], found[2]
        )
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        for text in [path.read_text(encoding="utf-8")]
        for found in FENCE.finditer(text)
        if not languages or found[1] in languages
    ]


def not_run(words: list[str]) -> str | None:
    """Which entry of NOT_RUN a command falls under; None for a command that is run."""
    bare = [word for word in words if not re.fullmatch(r"[A-Z_]+=.*", word)] or words
    name = Path(bare[0]).name
    for key in (name, f"{name} {bare[1] if len(bare) > 1 else ''}"):
        if key in NOT_RUN:
            return key
    return None
