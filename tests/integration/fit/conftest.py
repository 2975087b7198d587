"""A folder with a log, its schema and a fast configuration."""

from pathlib import Path

import pytest

from fit_calls import FAST, write_csv
from tiny import TINY_SCHEMA, tiny_rows


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With log.csv, schema.toml and fast.toml."""
    write_csv(tmp_path / "log.csv", tiny_rows())
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text(FAST)
    return tmp_path
