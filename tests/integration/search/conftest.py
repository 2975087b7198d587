"""A folder with a small log, its schema and a fast configuration."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tiny import TINY_SCHEMA, tiny_rows
from tuning import FAST


@pytest.fixture
def home(tmp_path: Path) -> Any:
    rows = [
        {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in tiny_rows(900)
    ]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text(FAST)
    return tmp_path
