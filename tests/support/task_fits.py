"""Fits of each task by a log in a folder, called as a user calls them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main

FAST = """
embedding = 4
attention_size = 4
[fit]
epochs = 4
batch = 128
learning_rate = 0.02
[attention]
epochs = 1
batch = 128
"""
HEADS = {
    "click": "",
    "regression": 'task = "regression"',
    "ranking": 'task = "ranking"\ngroup = "visit"',
}


def with_log(folder: Path) -> Path:
    """The folder, with log.csv, which has a label for each task, and fast.toml."""
    rng, rows = np.random.default_rng(0), []
    for i, row in enumerate(tiny_rows(900)):
        lists: dict[str, Any] = {
            n: "|".join(v) if isinstance(v, list) else v for n, v in row.items()
        }
        spent = 2.0 * lists["click"] + {"ios": 40.0, "android": 38.0, "web": 42.0}[row["device"]]
        liked = int(rng.random() < (0.8 if row["ad"] in ("a1", "a4", "a7", "a8", "a9") else 0.2))
        rows.append(lists | {"visit": f"v{i // 6}", "spent": spent, "liked": liked})
    pl.DataFrame(rows, infer_schema_length=None).write_csv(folder / "log.csv")
    (folder / "fast.toml").write_text(FAST)
    return folder


def schema(home: Any, task: Any, label: Any = "click", more: Any = "") -> None:
    head = f'{HEADS[task]}\n{more}\nlabel = "{label}"\n'
    (home / "schema.toml").write_text(TINY_SCHEMA.replace('label = "click"\n', head))


def fit(home: Any, *more: Any, data: Any = "log.csv", out: Any = "bundle") -> Any:
    files = [("--schema", "schema.toml"), ("--config", "fast.toml"), ("--out", out)]
    arguments = [part for option, name in files for part in (option, str(home / name))]
    return main(["fit", str(home / data), *arguments, *map(str, more)])


def evaluate(
    home: Any, capsys: pytest.CaptureFixture[str], *more: Any, data: Any = "log.csv"
) -> Any:
    capsys.readouterr()
    assert main(["evaluate", str(home / "bundle"), str(home / data), *map(str, more)]) == 0
    return json.loads(capsys.readouterr().out)


def refused(home: Any, capsys: pytest.CaptureFixture[str], code: Any, *says: Any) -> None:
    printed = capsys.readouterr()
    assert code == 2, printed.err
    assert printed.err.count("\n") == 1, printed.err
    assert printed.err.startswith("afm-train: ")
    for part in says:
        assert part in printed.err
    assert not (home / "bundle").exists()
    assert not [path for path in home.iterdir() if path.name.startswith(".")]
