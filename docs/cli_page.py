"""Writes docs/cli.md from the two command lines: `python docs/cli_page.py`, after a change of them.

A test holds the page to what this writes.
"""

from pathlib import Path
from typing import Any

import typer

import service.cli
import training.cli

ROOT = Path(__file__).parents[1]
HEAD = """# Command line

This page lists every command of `afm-train` and `afm-serve` with its arguments and options.
`python docs/cli_page.py` writes it; [commands](commands.md) shows how to use them.
"""


def page() -> str:
    """The page, from the commands as they are now."""
    parts = [HEAD]
    for program, app in (("afm-train", training.cli.app), ("afm-serve", service.cli.app)):
        group: Any = typer.main.get_command(app)
        parts.append(f"## {program}\n\n{group.help}\n")
        parts += [_section(program, command) for command in group.commands.values()]
    return "\n".join(parts)


def _section(program: str, command: Any) -> str:
    context = typer.Context(command, info_name=command.name)
    records = [one.get_help_record(context) for one in command.get_params(context)]
    rows = [
        f"| `{_cell(name)}` | {_cell(text)} |"
        for name, text in filter(None, records)
        if not name.startswith("--help")
    ]
    summary = " ".join(command.help.split("\n\n")[0].split())
    head = [f"### {program} {command.name}", "", summary, "", "| given | meaning |", "|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("[", "(").replace("]", ")").replace("|", "\\|")


if __name__ == "__main__":
    (ROOT / "docs/cli.md").write_text(page(), encoding="utf-8")
