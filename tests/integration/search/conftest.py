"""A folder with a small log, its schema and a fast configuration."""

from pathlib import Path
from typing import Any

import pytest

from fit_calls import write_csv
from tiny import TINY_SCHEMA, tiny_rows
from tuning import FAST


@pytest.fixture
def home(tmp_path: Path) -> Any:
    write_csv(tmp_path / "log.csv", tiny_rows(900))
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text(FAST)
    return tmp_path
