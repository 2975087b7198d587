"""A log encoded block by block is what the same log is in memory: vocabularies, rows, ids."""

import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from model.encoding import Encoder
from model.errors import DataError
from model.schema import Schema
from narrowing import not_none
from training.config import Config
from training.data.examples import examples
from training.data.files import Data
from training.data.leaks import leaks
from training.data.log import encode
from training.data.read_log import read_log
from training.fit.prepare import held_out, vocabularies_of
from training.stream import blocks, counts, numbers
from training.stream.asked import Asked
from training.stream.cache import packed_rows, pieces
from training.stream.cache.encoded_log import EncodedLog
from training.stream.encode_log import encoded_log
from written_log import SCHEMA, rows, written


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, files and counts so small that a short log has many of them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(blocks, "TEXT_BYTES", 12_000)
    monkeypatch.setattr(blocks, "ROWS", 200)
    monkeypatch.setattr(pieces, "ROWS", 70)
    monkeypatch.setattr(packed_rows, "NEAR", 50)
    monkeypatch.setattr(counts, "PENDING", 150)
    monkeypatch.setattr("training.stream.first_pass.MOST_HELD", 800)


def same(found: EncodedLog, data: Data, schema: Schema) -> None:
    """Everything in the folder is what the log in memory has."""
    train, valid = held_out(read_log(data, schema), None, schema, Config())
    known = vocabularies_of(schema, train)
    assert found.rule == valid.held_out
    assert dict(found.vocabularies) == known
    whole = encode(Encoder(schema, known), train)
    packed = np.fromfile(found.rows, np.int32).reshape(len(found), -1)
    ids, values = found.slots.unpack(packed)
    assert len(found) == len(train)
    np.testing.assert_array_equal(ids, whole.ids)
    assert values.tobytes() == whole.values.tobytes()
    np.testing.assert_array_equal(found.labels().numpy(), train.labels)
    if train.weights is not None:
        np.testing.assert_array_equal(not_none(found.weights()), train.weights)
    held = found.held_out()
    encoded = examples(encode(Encoder(schema, known), valid), valid)
    on_disk = found.held_out_rows(held)
    every = on_disk.every(1)
    for part in ("ids", "values", "labels", "weights"):
        assert torch.equal(getattr(every, part), getattr(encoded, part))
    some = np.arange(0, len(held), 3)
    for at in (some, some[:0]):
        pairs = zip(on_disk.at(at), encoded.at(at), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)
    # a column of several types is text in memory, and stays as it is in a block
    assert {name: list(map(str, cells)) for name, cells in held.columns.items()} == {
        name: list(map(str, cells)) for name, cells in valid.columns.items()
    }
    for part in ("labels", "weights", "group", "time"):
        np.testing.assert_array_equal(getattr(held, part), getattr(valid, part))
    seen = found.looked_at()
    assert leaks(seen.columns, seen.labels) == leaks(train.columns, train.labels)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "csv.zst", "jsonl", "parquet"])
@pytest.mark.parametrize("readers", [1, 3])
def test_a_log_of_any_kind_is_encoded_as_in_memory(tmp_path: Path, kind: str, readers: int) -> None:
    schema = Schema.parse(SCHEMA)
    data = written(tmp_path / "log", kind, rows(2000))
    same(encoded_log(data, schema, Asked(0.1), readers, lambda _: None), data, schema)


@pytest.mark.parametrize(("by", "count"), [("group", 1500), ("time", 1500), ("", 12), ("", 40)])
def test_the_same_rows_are_held_out(tmp_path: Path, by: str, count: int) -> None:
    text = SCHEMA.replace(
        'weight = "worth"', f'{by} = "{"user" if by == "group" else "at"}"' if by else ""
    )
    schema = Schema.parse(text)
    given = [row | {"user": row["user"] or 0} for row in rows(count, seed=3)]
    data = written(tmp_path / "log", "csv", given)
    same(encoded_log(data, schema, Asked(0.1), 2, lambda _: None), data, schema)


def test_nothing_is_held_out_of_a_log_beside_given_rows(tmp_path: Path) -> None:
    schema = Schema.parse(SCHEMA)
    data = written(tmp_path / "log", "csv", rows(300))
    found = encoded_log(data, schema, Asked(None), 2, lambda _: None)
    assert len(found) == 300
    assert found.rule is None
    assert len(found.held_out()) == 0
    assert dict(found.vocabularies) == vocabularies_of(schema, read_log(data, schema))


def test_a_log_is_read_once_and_again_when_it_or_the_schema_changes(tmp_path: Path) -> None:
    schema = Schema.parse(SCHEMA)
    data = written(tmp_path / "log", "csv", rows(300))
    said: list[str] = []
    first = encoded_log(data, schema, Asked(0.1), 2, said.append)
    assert first.folder.stat().st_mode & 0o777 == 0o700
    assert any("first pass: 300 rows" in line for line in said)
    said.clear()
    assert encoded_log(data, schema, Asked(0.1), 1, said.append).folder == first.folder
    assert not any("pass" in line for line in said)
    other = Schema.parse(SCHEMA.replace("min_count = 3", "min_count = 4"))
    assert encoded_log(data, other, Asked(0.1), 1, said.append).folder != first.folder
    with (tmp_path / "log" / "log.csv").open("a") as file:
        file.write("0,1,ios,1,no,/p1,a,1,1,1,2026-11-01T00:00:00Z\n")
    assert encoded_log(data, schema, Asked(0.1), 1, said.append).folder != first.folder
    assert all(path.is_dir() and "." not in path.name for path in first.folder.parent.iterdir())


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("/p", "/p"), None),
        (("price", "cost"), "no column 'price'"),
        (("2026-11-", "2026-13-"), "expected a moment"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_bad_log_is_refused_and_leaves_nothing(
    tmp_path: Path, kind: str, change: tuple[str, str], wanted: str | None
) -> None:
    schema = Schema.parse(SCHEMA)
    data = written(tmp_path / "log", kind, rows(400))
    path = tmp_path / "log" / f"log.{kind}"
    text = path.read_text()
    path.write_text(text.replace(*change))
    if wanted is None:
        encoded_log(data, schema, Asked(0.1), 2, lambda _: None)
        return
    with pytest.raises(DataError, match=wanted):
        encoded_log(data, schema, Asked(0.1), 2, lambda _: None)
    assert list((tmp_path / "cache" / "ctr-afm" / "logs").iterdir()) == []


def test_a_packed_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.zst"
    numbers = np.random.default_rng(1).random(200_000)
    pl.DataFrame({"a": numbers}).write_csv(path, compression="zstd")
    whole = sum(len(block.table()[0].frame) for block in blocks.blocks_of(Data((path,)), ["a"]))
    assert whole == len(numbers)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read = blocks.blocks_of(Data((path,)), ["a"])
    first = next(read).table()[0].frame["a"].cast(pl.Float64).to_numpy()
    np.testing.assert_array_equal(first, numbers[: len(first)])
    with pytest.raises(DataError, match=r"log\.csv\.zst: cannot read it: incomplete frame"):
        list(read)


def test_a_quote_without_its_end_is_refused_before_all_is_read(tmp_path: Path) -> None:
    schema = Schema.parse(SCHEMA)
    data = written(tmp_path / "log", "csv", [row | {"device": "ios"} for row in rows(3000)])
    path = tmp_path / "log" / "log.csv"
    head, first, rest = path.read_text().removeprefix("\ufeff\n").split("\n", 2)
    path.write_text(f'{head}\n{first}\n"{rest}')
    with pytest.raises(DataError, match="cannot read it: a quote without its end"):
        encoded_log(data, schema, Asked(0.1), 2, lambda _: None)


def test_what_a_killed_fit_left_is_removed(tmp_path: Path) -> None:
    schema = Schema.parse(SCHEMA)
    data = written(tmp_path / "log", "csv", rows(300))
    first = encoded_log(data, schema, Asked(0.1), 2, lambda _: None).folder
    ended = subprocess.Popen(["true"])
    ended.wait()
    begin = f".{first.name}.{platform.node()}."
    first.rename(first.with_name(f"{begin}{ended.pid}"))
    for process in (os.getpid(), os.getppid()):
        first.with_name(f"{begin}{process}").mkdir()
    assert encoded_log(data, schema, Asked(0.1), 2, lambda _: None).folder == first
    there = {path.name for path in first.parent.iterdir()}
    assert there == {first.name, f"{begin}{os.getppid()}"}


def test_a_bad_cell_is_named_by_its_row(tmp_path: Path) -> None:
    schema = Schema.parse(SCHEMA)
    data = written(tmp_path / "log", "parquet", rows(1000))
    path = tmp_path / "log" / "yes=0" / "part.parquet"
    frame = pl.read_parquet(path)
    frame = frame.with_columns(pl.col("click").set_sorted())
    bad = pl.Series("click", [*frame["click"][:250], 7, *frame["click"][251:]])
    frame.with_columns(bad).write_parquet(path)
    with pytest.raises(DataError, match=r"row 251: a label .*got 7$"):
        encoded_log(data, schema, Asked(0.1), 3, lambda _: None)


def test_a_bad_cell_in_text_is_named_from_behind_the_rows_before_it(tmp_path: Path) -> None:
    schema = Schema.parse(SCHEMA)
    given = rows(400)
    given[250]["click"] = 7
    data = written(tmp_path / "log", "csv", given)
    with pytest.raises(DataError, match=r"got '7' \(rows counted from behind row \d+\)$") as found:
        encoded_log(data, schema, Asked(0.1), 3, lambda _: None)
    row, before = (
        int(re.findall(rf"{word} (\d+)", str(found.value))[-1]) for word in (", row", "behind row")
    )
    assert row + before == 251


def test_more_numbers_than_are_held_give_nearly_the_same_bins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = Schema.parse(SCHEMA)
    drawn = np.random.default_rng(1).normal(size=50_000)
    monkeypatch.setattr(numbers, "MOST_EXACT", 5_000)
    for name in ("price", "floor", "age"):
        field = schema.fields[name]
        assert field.kind == "numeric"
        exact, some = (numbers.Numbers(field, tmp_path / f"{name}-{n}") for n in range(2))
        for part in np.array_split(drawn, 7):
            some.add(part)
        exact.add(drawn[:5000])
        found = some.learnt()
        if name == "floor":
            places = np.searchsorted(np.sort(drawn), found.edges) / len(drawn)  # type: ignore[union-attr]  # bins
            assert np.abs(places - np.arange(1, 5) / 5).max() < 0.023
        else:
            assert (found.low, found.high) == (drawn.min(), drawn.max())  # type: ignore[union-attr]  # a scale


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    data = written(tmp_path / "log", "csv", rows(2000))
    (tmp_path / "schema.toml").write_text(SCHEMA)
    size = 20_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    words = ["fit", str(data.paths[0]), "--schema", str(tmp_path / "schema.toml"), "--stream"]
    command = [sys.executable, "-m", "training.cli", *words, "--out", str(tmp_path / "bundle")]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, preexec_fn=limited
    )
    assert ended.returncode == 2
    assert "its encoded rows cannot be written" in ended.stderr.splitlines()[-1]
    assert list((tmp_path / "cache" / "ctr-afm" / "logs").iterdir()) == []
