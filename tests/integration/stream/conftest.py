"""A log, its schema and its configuration in a folder, with a cache of its own."""

from pathlib import Path

import pytest

from fit_calls import write_csv
from streamed_calls import CONFIG, SMALL
from tiny import TINY_SCHEMA, tiny_rows
from training.stream.cache import shards


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(Path.home() / ".cache" / "ctr-afm" / "kernels"))
    write_csv(tmp_path / "log.csv", tiny_rows(2000))
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(shards, name, value)
