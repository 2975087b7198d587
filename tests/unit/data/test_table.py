"""Tables as they stand in files, and what unreadable ones get."""

import gzip
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from model.errors import DataError
from training.data.table import label_array, plain, read_frame

PATH = Path("log.csv")


def test_every_csv_cell_is_text_so_that_big_ids_keep_their_digits(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("url,code,n\n10710025208886284288,007,1.50\n")
    frame = read_frame(path)
    assert frame.rows() == [("10710025208886284288", "007", "1.50")]


def test_a_gzipped_csv_reads_as_the_plain_one(tmp_path):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,x\n"))
    assert read_frame(path).rows() == [("1", "x")]


def test_a_blank_cell_is_null_and_quotes_may_hold_commas_and_lines(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('a,b\n,"x, y"\n1,"two\nlines"\n')
    assert read_frame(path).rows() == [(None, "x, y"), ("1", "two\nlines")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert read_frame(path).columns == ["a", "b"]


def test_only_the_columns_asked_for_are_read_each_once(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("a,b,c\n1,2,3\n")
    assert read_frame(path, ["c", "a", "c"]).columns == ["c", "a"]


def test_parquet_keeps_its_types(tmp_path):
    path = tmp_path / "log.parquet"
    pl.DataFrame({"a": [1], "b": [["x", "y"]], "c": [True]}).write_parquet(path)
    assert read_frame(path).rows() == [(1, ["x", "y"], True)]


def test_a_missing_column_is_named_with_those_there_are(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"log\.csv: no column 'click'; there are 'a', 'b'"):
        read_frame(path, ["a", "click"])


# mtime: a file's bytes are in its test's name, and all processes that share the tests must agree on
# those, whichever second they begin in
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", b"", "empty file"),
        ("log.csv.gz", gzip.compress(b"", mtime=0), "empty file"),
        ("log.csv", b"a,b\n", "no rows, only a header"),
        ("log.parquet", b"", "empty file"),
        ("log.parquet", b"not parquet at all", "cannot read it"),
        ("log.csv.gz", gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-20], "cannot read it"),
        ("log.csv", b"a,b\n1,2\n1,2,3\n", "cannot read it"),
        ("log.csv", b"a,b\n1,\xff\xfe\n", "cannot read it"),
        ("log.xlsx", b"a,b\n1,2\n", r"unknown kind of file, expected \.csv"),
    ],
)
def test_an_unusable_file_gets_one_line_that_names_it(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_frame(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_frame(tmp_path / "log.csv")
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(DataError, match="not a file"):
        read_frame(tmp_path / "dir.csv")


@pytest.mark.parametrize(
    "cells",
    [["0", "1"], ["0.0", " 1 "], ["false", "True"], [0, 1], [0.0, 1.0], [False, True]],
)
def test_a_click_may_be_written_in_numbers_or_booleans(cells):
    labels = label_array(pl.Series("click", cells), "click", PATH)
    assert labels.dtype == np.float32
    assert labels.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("cell", ["2", "yes", "-1", "0.5", "nan", "inf"])
def test_another_label_is_refused_with_row_and_value(cell):
    with pytest.raises(DataError, match=rf"'click', row 2: a label must be 0 or 1 .*'{cell}'"):
        label_array(pl.Series("click", ["1", cell, cell]), "click", PATH)


def test_a_blank_label_is_refused():
    with pytest.raises(DataError, match=r"row 1: a label must be 0 or 1 .* a blank cell"):
        label_array(pl.Series("click", [None, "1"], dtype=pl.String), "click", PATH)


def test_a_regression_label_is_any_finite_number():
    labels = label_array(pl.Series("y", ["-2.5", "7"]), "regression", PATH)
    assert labels.tolist() == [-2.5, 7.0]
    with pytest.raises(DataError, match="row 2: a label must be a finite number"):
        label_array(pl.Series("y", ["1", "inf"]), "regression", PATH)


def test_parquet_types_become_what_json_can_hold():
    frame = pl.DataFrame(
        {
            "day": pl.Series(["2024-05-01"]).str.to_date(),
            "kind": pl.Series(["a"], dtype=pl.Categorical),
            "ratio": [float("nan")],
            "cost": pl.Series(["1.25"]).cast(pl.Decimal(10, 2)),
            "pair": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)),
            "single": pl.Series([0.1], dtype=pl.Float32),
            "singles": pl.Series([[0.1, None]], dtype=pl.List(pl.Float32)),
            "at": pl.Series(["2024-05-01T12:00:00+02:00"]).str.to_datetime(time_zone="UTC"),
        }
    )
    values = [plain(series, PATH).to_list() for series in frame]
    assert values == [
        ["2024-05-01"],
        ["a"],
        [None],
        ["1.25"],
        [[1, 2]],
        [0.1],
        [[0.1, None]],
        ["2024-05-01T10:00:00Z"],
    ]


@pytest.mark.parametrize("cells", [[timedelta(1)], [[timedelta(1)]]])
def test_durations_are_refused_by_name_and_with_what_to_do(cells):
    with pytest.raises(DataError, match=r"'odd' holds .*Duration.*: write it as a number"):
        plain(pl.Series("odd", cells), PATH)


@pytest.mark.parametrize("cells", [[{"a": 1}], [b"x"], [[[1]]]])
def test_a_column_of_no_plain_values_is_refused(cells):
    with pytest.raises(DataError, match=r"'odd' holds .* no plain values"):
        plain(pl.Series("odd", cells), PATH)
