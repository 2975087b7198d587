"""A log for task ranking on disk: its groups, its batches, and what is refused."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from fit_calls import write_csv
from model.encoding import Encoder
from model.errors import DataError
from model.schema import Schema
from narrowing import not_none
from ranked_log import MOST, RANKING, ranked_rows
from training.config import Config
from training.data.files import Data
from training.data.log import encode
from training.data.read_log import read_log
from training.fit.prepare import held_out, vocabularies_of
from training.stream import blocks
from training.stream.asked import Asked
from training.stream.cache import pieces
from training.stream.cache.encoded_log import GROUPS, EncodedLog
from training.stream.cache.shards import Shards
from training.stream.encode_log import encoded_log

SCHEMA = Schema.parse(RANKING)
SIZE = 64  # of a batch


@pytest.fixture(autouse=True)
def small(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and files so small that groups lie over the ends of many of them."""
    monkeypatch.setattr(blocks, "TEXT_BYTES", 3000)
    monkeypatch.setattr(blocks, "ROWS", 50)
    monkeypatch.setattr(pieces, "ROWS", 70)
    write_csv(home / "log.csv", ranked_rows(2000))


def encoded(data: Data, readers: int = 2) -> EncodedLog:
    return encoded_log(data, SCHEMA, Asked(0.1), readers, lambda _: None)


def in_files(home: Path, kind: str) -> Data:
    """The log in one file, or in three, whose ends cut a group each."""
    frame = pl.read_csv(home / "log.csv", infer_schema=False)
    if kind == "csv":
        return Data((home / "log.csv",))
    (home / "logs").mkdir()
    inside = np.flatnonzero((frame["visit"] == frame["visit"].shift(1)).to_numpy())
    ends = [0, int(inside[300]), int(inside[600]), len(frame)]
    for number, (start, end) in enumerate(pairwise(ends)):
        frame[start:end].write_parquet(home / "logs" / f"{number}.parquet")
    return Data((home / "logs",))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("readers", [1, 3])
def test_groups_over_the_ends_of_blocks_and_files_are_those_of_the_log_in_memory(
    home: Path, kind: str, readers: int
) -> None:
    data = in_files(home, kind)
    found = encoded(data, readers)
    train, valid = held_out(read_log(data, SCHEMA), None, SCHEMA, Config())
    assert found.rule == valid.held_out
    known = vocabularies_of(SCHEMA, train)
    assert dict(found.vocabularies) == known
    np.testing.assert_array_equal(found.labels().numpy(), train.labels)
    packed = np.fromfile(found.rows, np.int32).reshape(len(found), -1)
    np.testing.assert_array_equal(
        found.slots.unpack(packed)[0], encode(Encoder(SCHEMA, known), train).ids
    )
    groups = not_none(Shards(found, 1, 1).groups)[torch.arange(len(found))]
    wanted = torch.from_numpy(not_none(train.group))
    assert torch.equal(
        *(torch.unique_consecutive(g, return_counts=True)[1] for g in (groups, wanted))
    )
    held = found.held_out()
    np.testing.assert_array_equal(not_none(held.group), not_none(valid.group))
    np.testing.assert_array_equal(held.labels, valid.labels)
    rows = not_none(found.held_out_rows(held).groups)[torch.arange(len(held))]
    np.testing.assert_array_equal(rows.numpy(), not_none(valid.group))
    seen = found.looked_at()
    np.testing.assert_array_equal(not_none(seen.group), not_none(train.group))


def test_a_group_whose_labels_differ_only_over_the_ends_of_blocks_is_enough(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "TEXT_BYTES", 10)  # a row a block
    rows = [
        row | {"visit": f"v{at // 2}", "click": at % 2} for at, row in enumerate(ranked_rows(60))
    ]
    write_csv(home / "log.csv", rows)
    data = Data((home / "log.csv",))
    found = encoded(data)
    train, valid = held_out(read_log(data, SCHEMA), None, SCHEMA, Config())
    assert found.rule == valid.held_out
    assert len(found) == len(train)
    write_csv(home / "log.csv", [row | {"click": at // 2 % 2} for at, row in enumerate(rows)])
    with pytest.raises(DataError, match="training needs a group whose labels differ"):
        encoded(data)


@pytest.mark.parametrize("text_bytes", [40, 3000, 1 << 20])
def test_a_group_that_comes_again_is_refused_by_its_row(
    home: Path, text_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "TEXT_BYTES", text_bytes)
    rows = ranked_rows(300)
    rows[200]["visit"] = rows[3]["visit"]
    write_csv(home / "log.csv", rows)
    again = rf"log\.csv: column 'visit', row 201: group '{rows[3]['visit']}' comes again"
    with pytest.raises(DataError, match=rf"{again}, .*so sort the log by 'visit'$"):
        encoded(Data((home / "log.csv",)))
    assert list((home / "cache" / "ctr-afm" / "logs").iterdir()) == []
    click = Schema.parse(RANKING.replace('task = "ranking"', ""))  # whose groups may lie anywhere
    encoded_log(Data((home / "log.csv",)), click, Asked(0.1), 1, lambda _: None)


def test_a_group_that_comes_again_in_another_file_is_refused(home: Path) -> None:
    rows = ranked_rows(300)
    last = next(at for at, row in enumerate(rows) if row["visit"] != rows[0]["visit"])
    (home / "logs").mkdir()
    write_csv(home / "logs" / "1.csv", rows)
    write_csv(home / "logs" / "2.csv", rows[:last])
    with pytest.raises(DataError, match=r"2\.csv: column 'visit', row 1: group .* comes again"):
        encoded(Data((home / "logs",)))


def test_the_cache_tells_a_log_that_is_ranked_from_the_same_log_of_clicks(home: Path) -> None:
    data = Data((home / "log.csv",))
    click = Schema.parse(RANKING.replace('task = "ranking"', ""))
    ranked, clicked = encoded(data), encoded_log(data, click, Asked(0.1), 1, lambda _: None)
    assert ranked.folder != clicked.folder
    groups = len(
        np.unique(not_none(held_out(read_log(data, SCHEMA), None, SCHEMA, Config())[0].group))
    )
    assert (ranked.folder / GROUPS).stat().st_size == 8 * groups
    assert {path.name for path in ranked.folder.iterdir()} - {
        path.name for path in clicked.folder.iterdir()
    } == {GROUPS}


def test_of_a_long_log_whole_groups_are_looked_at(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.stream.groups.MOST_ROWS", 500)
    data = Data((home / "log.csv",))
    looked = not_none(encoded(data).looked_at().group)
    train, _ = held_out(read_log(data, SCHEMA), None, SCHEMA, Config())
    group = not_none(train.group)
    assert 300 < len(looked) < 700
    np.testing.assert_array_equal(looked, group[np.isin(group, looked)])


def rows_of(home: Path, readers: int = 1, *, one_pass: bool = False) -> Shards:
    return Shards(encoded(Data((home / "log.csv",))), 7, readers, one_pass=one_pass)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("one_pass", [False, True])
@pytest.mark.parametrize("size", [SIZE, 7, 500])
def test_a_batch_takes_whole_groups_until_it_is_full(home: Path, one_pass: bool, size: int) -> None:
    rows = rows_of(home, one_pass=one_pass)
    groups = not_none(rows.groups)
    batches = list(rows.batches(size, 2))
    at = torch.cat([fed.at for fed in batches])
    assert torch.equal(at.sort().values, torch.arange(len(rows)))
    assert torch.equal(at, torch.arange(len(rows))) == one_pass
    seen: set[int] = set()
    for number, fed in enumerate(batches):
        names, counts = torch.unique_consecutive(groups[fed.at], return_counts=True)
        assert not seen & set(names.tolist())
        seen |= set(names.tolist())
        assert len(set(names.tolist())) == len(names)
        assert len(fed.at) - int(counts[-1]) < size
        assert len(fed.at) >= size or number == len(batches) - 1
        assert torch.equal(rows.at(fed.at.sort().values.numpy())[0], fed.ids[fed.at.argsort()])


@pytest.mark.usefixtures("small_shards")
def test_the_order_of_groups_is_one_of_the_seed_and_the_epoch(home: Path) -> None:
    rows = rows_of(home)
    first, again, second, other = (
        torch.cat([fed.at for fed in source.batches(SIZE, epoch)])
        for source, epoch in (
            (rows, 1),
            (rows_of(home, 3), 1),
            (rows, 2),
            (Shards(encoded(Data((home / "log.csv",))), 8, 1), 1),
        )
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("one_pass", [False, True])
@pytest.mark.parametrize("size", [SIZE, 7, 500])
def test_an_epoch_goes_on_behind_any_batch_of_groups(home: Path, one_pass: bool, size: int) -> None:
    rows = rows_of(home, one_pass=one_pass)
    whole = list(rows.batches(size, 3))
    for behind in range(0, len(whole) + 1, 1 if size > 7 else 9):
        rest = list(rows.batches(size, 3, behind))
        assert len(rest) == len(whole) - behind
        for one, other in zip(whole[behind:], rest, strict=True):
            assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    assert list(rows.batches(size, 3, len(whole))) == []


@pytest.mark.usefixtures("small_shards")
def test_a_group_larger_than_all_shards_that_are_mixed_is_one_batch(home: Path) -> None:
    rows = ranked_rows(1500)
    for row in rows[400:1100]:
        row["visit"] = "large"
    write_csv(home / "log.csv", rows)
    shards = rows_of(home, 2)
    batches = list(shards.batches(SIZE, 1))
    assert torch.equal(
        torch.cat([fed.at for fed in batches]).sort().values, torch.arange(len(shards))
    )
    large = max(batches, key=lambda fed: len(fed.at))
    assert 700 <= len(large.at) < 700 + SIZE
    assert sum(len(fed.at) > SIZE + MOST for fed in batches) == 1
    assert len(list(shards.batches(SIZE, 1, 5))) == len(batches) - 5
