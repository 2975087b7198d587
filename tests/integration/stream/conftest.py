"""A log, its schema and its configuration in a folder, with a cache of encoded logs of its own."""

from pathlib import Path

import pytest

from fit_calls import write_csv
from streamed_calls import CONFIG, SMALL
from tiny import TINY_SCHEMA, tiny_rows
from training.cache_home import cache_home
from training.stream.cache import shards


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shared = cache_home()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache_home().mkdir(parents=True)
    for name in ("kernels", "traces"):  # which take seconds to make, and know nothing of a log
        (shared / name).mkdir(parents=True, exist_ok=True)
        (cache_home() / name).symlink_to(shared / name)
    write_csv(tmp_path / "log.csv", tiny_rows(2000))
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(shards, name, value)
