"""A small log and its schema, and a configuration whose fit takes a second."""

from pathlib import Path

import polars as pl
import pytest

from tiny import TINY_SCHEMA, tiny_rows

CONFIG = """
net = "fm"
embedding = 4
[fit]
epochs = 2
batch = 128
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A folder with log.parquet, schema.toml and config.toml."""
    pl.DataFrame(tiny_rows(600, seed=2)).write_parquet(tmp_path / "log.parquet")
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def fit_arguments(log: Path) -> list[str]:
    """The arguments of `afm-train` that fit it into `log`/bundle."""
    return [
        *("fit", str(log / "log.parquet"), "--schema", str(log / "schema.toml")),
        *("--config", str(log / "config.toml"), "--out", str(log / "bundle")),
    ]
