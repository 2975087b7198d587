"""The tables of the pages under docs/."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tables(page: str) -> list[list[list[str]]]:
    """The tables of a page: rows of cells, the head among them."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^\|.*\n\|[-:|]+\n(?:\|.*\n)+", text, flags=re.MULTILINE)
    return [
        [
            [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for n, line in enumerate(table.splitlines())
            if n != 1
        ]
        for table in found
    ]


def table(page: str, *head: str) -> dict[str, list[str]]:
    """The rows of the table whose head begins so: the name in its first cell -> the other cells."""
    for rows in tables(page):
        if rows[0][: len(head)] == list(head):
            names = [row[0].strip("`") for row in rows[1:]]
            assert len(set(names)) == len(names), f"a name stands twice in {page}"
            return dict(zip(names, [row[1:] for row in rows[1:]], strict=True))
    raise AssertionError(f"docs/{page} has no table {head}")
