"""Logs at URLs of fsspec: the same rows as those of the files themselves."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import polars as pl
import pytest

from model.errors import ConfigError, DataError
from training.cli import main
from training.data.files import data_of
from training.data.table import read_table


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = fsspec.filesystem("memory")
    found.pipe("/ads/day=1/a.csv", b"click,device\n1,ios\n0,web\n")
    found.pipe("/ads/day=2/b.csv", b"click,device\n0,tv\n")
    found.pipe("/ads/day=2/notes.txt", b"no log")
    yield found
    found.rm("/ads", recursive=True)


def rows(*urls: str) -> list[tuple[object, ...]]:
    data = data_of([Path(url) for url in urls], None)
    assert data is not None
    return read_table(data, ["click", "device", "day"]).frame.rows()


def copies(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "ctr-afm" / "files").iterdir())


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("url", ["memory://ads", "memory:///ads/", "memory://ads/day=*/*.csv"])
def test_a_folder_and_a_pattern_have_the_columns_of_their_folders(url: str) -> None:
    assert rows(url) == [("1", "ios", "1"), ("0", "web", "1"), ("0", "tv", "2")]


def test_a_file_is_copied_again_only_when_it_has_changed(
    store: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    url = Path("memory://ads/day=1/a.csv")
    first = data_of([url], None)
    assert first is not None
    assert first.name == "a.csv"
    assert data_of([url], None) == first
    assert len(copies(tmp_path)) == 1
    assert copies(tmp_path)[0].stat().st_mode & 0o777 == 0o700
    store.pipe("/ads/day=1/a.csv", b"click,device\n1,ios\n")
    again = data_of([url], None)
    assert again is not None
    assert len(read_table(again).frame) == 1
    assert len(copies(tmp_path)) == 2


def test_a_file_url_and_a_path_are_one_log(
    tmp_path: Path, store: fsspec.AbstractFileSystem
) -> None:
    pl.DataFrame({"click": [1, 0], "device": ["ios", None]}).write_parquet(tmp_path / "a.parquet")
    urls = (f"file://{tmp_path}/a.parquet", str(tmp_path / "a.parquet"))
    given = [data_of([Path(url)], None) for url in urls]
    one, other = (read_table(data).frame for data in given if data is not None)
    assert one.equals(other)
    with store.open("/ads/b.parquet", "wb") as file:
        file.write((tmp_path / "a.parquet").read_bytes())
    copied = data_of([Path("memory://ads/b.parquet")], None)
    assert copied is not None
    assert read_table(copied).frame.equals(other)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("url", "kind", "wanted"),
    [
        ("memory://ads/none.csv", DataError, "memory://ads/none.csv: cannot be copied: "),
        ("memory://ads/day=3/*.csv", DataError, "no such file"),
        ("memory://ads/day=2/notes.txt", DataError, "unknown kind of file"),
        ("s3://ads/log.csv", ConfigError, r"s3fs.*pip install 'fsspec\[s3\]'"),
        ("nowhere://ads/log.csv", DataError, "nowhere://ads/log.csv: Protocol not known"),
    ],
)
def test_what_cannot_be_read_is_said_of_the_url(
    url: str, kind: type[Exception], wanted: str
) -> None:
    with pytest.raises(kind, match=wanted):
        rows(url)


@pytest.mark.usefixtures("store")
def test_a_command_takes_a_url(tmp_path: Path) -> None:
    out = tmp_path / "schema.toml"
    assert main(["schema", "memory://ads", "--label", "click", "--out", str(out)]) == 0
    assert "day" in out.read_text()
