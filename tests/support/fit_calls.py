"""`afm-train fit` on a small log in a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from training.cli import main

FAST = """
embedding = 4
attention_size = 4
[fit]
epochs = 2
batch = 128
[attention]
epochs = 1
batch = 128
"""


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """The rows as CSV at `path`; lists with | between their values."""
    cells = [
        {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in rows
    ]
    pl.DataFrame(cells, infer_schema_length=None).write_csv(path)
    return path


def fit(home: Path, *more: str | int | Path, data: str = "log.csv", out: str = "bundle") -> int:
    """The exit status of a fit of the log `data` by home's schema and configuration."""
    files = {"--schema": "schema.toml", "--config": "fast.toml", "--out": out}
    arguments = [str(part) for name, file in files.items() for part in (name, home / file)]
    return main(["fit", str(home / data), *arguments, *map(str, more)])


def refused(capsys: pytest.CaptureFixture[str], code: int, *says: str) -> None:
    """Status 2, and one line on stderr that says all of it."""
    printed = capsys.readouterr()
    assert code == 2
    lines = printed.err.splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("afm-train: ")
    for part in says:
        assert part in lines[0]
