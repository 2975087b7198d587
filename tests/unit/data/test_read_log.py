"""A log read by its schema."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.encoding import Encoder
from model.errors import DataError, SchemaError
from model.schema import Schema
from model.values.ids import UNKNOWN
from model.vocabulary import fit_vocabulary
from narrowing import not_none
from training.columns.cells import Cells
from training.columns.learn import grown, learnt
from training.data.read_log import read_log
from training.data.schema_text import schema_text

FIELDS = """
[fields.user]
kind = "categorical"
[fields.tags]
kind = "multivalue"
separator = ";"
[fields.price]
kind = "numeric"
"""
SCHEMA = Schema.parse('label = "click"\n' + FIELDS)
FULL = Schema.parse('label = "click"\nweight = "w"\ngroup = "g"\ntime = "t"\n' + FIELDS)
HEADER = "click,user,tags,price,w,g,t\n"


def written(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(header + "".join(line + "\n" for line in lines))
    return path


def test_a_csv_becomes_the_values_that_json_would_hold(tmp_path: Path) -> None:
    path = written(tmp_path, "1,10710025208886284288,a;b,3.5,,,", "0,,,,,,")
    log = read_log(path, SCHEMA)
    assert log.rows() == [
        {"user": "10710025208886284288", "tags": ["a", "b"], "price": 3.5},
        {"user": None, "tags": None, "price": None},
    ]
    assert log.labels.dtype == np.float32
    assert log.labels.tolist() == [1.0, 0.0]
    assert len(log) == 2
    assert (log.weights, log.group, log.time) == (None, None, None)


def test_parquet_and_csv_of_one_log_encode_alike(tmp_path: Path) -> None:
    csv = written(tmp_path, "1,21,a;b,3.5,,,", "0,7,c,,,,", "0,,,2,,,")
    parquet = tmp_path / "log.parquet"
    pl.DataFrame(
        {
            "click": [1, 0, 0],
            "user": [21, 7, None],
            "tags": [["a", "b"], ["c"], None],
            "price": [3.5, None, 2],
        }
    ).write_parquet(parquet)
    logs = read_log(csv, SCHEMA), read_log(parquet, SCHEMA)
    learnt = {n: fit_vocabulary(f, logs[0].columns[n]) for n, f in SCHEMA.fields.items()}
    text, typed = (Encoder(SCHEMA, learnt).encode_columns(log.columns, 3) for log in logs)
    assert text.ids.tolist() == typed.ids.tolist()
    assert text.values.tolist() == typed.values.tolist()


def test_rows_and_columns_encode_alike(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "1,u,a;b,3.5,,,", "0,u,,1,,,", "1,v,a,,,,"), SCHEMA)
    encoder = Encoder(
        SCHEMA, {n: fit_vocabulary(f, log.columns[n]) for n, f in SCHEMA.fields.items()}
    )
    columns, rows = encoder.encode_columns(log.columns, 3), encoder.encode(log.rows())
    assert columns.ids.tolist() == rows.ids.tolist()
    assert columns.values.tolist() == rows.values.tolist()
    assert columns.ids[2, 0] == encoder.offsets[0] + UNKNOWN  # v was seen once


def test_weight_group_and_time_are_read_by_the_schema(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "1,u,,1,0.5,x,30", "0,u,,1,2,y,10", "0,u,,1,0,x,20"), FULL)
    assert log.weights is not None
    assert log.group is not None
    assert log.time is not None
    assert log.weights.tolist() == [0.5, 2.0, 0.0]
    assert log.group[0] == log.group[2] != log.group[1]
    assert log.time.tolist() == [30.0, 10.0, 20.0]


def test_dates_of_different_zones_compare_as_moments(tmp_path: Path) -> None:
    moments = ["2024-05-01 12:00:00+02:00", "2024-05-01T11:00:00", "2024-05-01 13:00:00.5+00:00"]
    log = read_log(written(tmp_path, *(f"1,u,,1,1,x,{m}" for m in moments)), FULL)
    assert log.time is not None
    assert np.diff(log.time).tolist() == [3600.0, 7200.5]


def test_a_parquet_datetime_is_seconds_too(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    times = pl.Series(["2024-05-01 10:00:00", "2024-05-01 11:00:00"]).str.to_datetime()
    schema = Schema.parse('label = "click"\ntime = "t"\n[fields.a]\nkind = "categorical"\n')
    pl.DataFrame({"click": [0, 1], "a": ["x", "y"], "t": times}).write_parquet(path)
    log = read_log(path, schema)
    assert log.time is not None
    assert log.time.tolist() == [1714557600.0, 1714561200.0]


def test_a_log_to_be_scored_needs_no_label_weight_group_or_time(tmp_path: Path) -> None:
    path = written(tmp_path, "u,a,1", header="user,tags,price\n")
    log = read_log(path, FULL, labelled=False)
    assert log.rows() == [{"user": "u", "tags": ["a"], "price": 1.0}]
    assert len(log) == 1
    assert np.isnan(log.labels).all()
    with pytest.raises(DataError, match="no column 'click'"):
        read_log(path, FULL)


def test_a_field_without_a_column_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "1,u", header="click,user\n")
    with pytest.raises(DataError, match="no column 'tags'"):
        read_log(path, SCHEMA)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,u,a,high,1,x,1", r"column 'price', row 2: expected a finite number, got 'high'"),
        ("1,u,a,nan,1,x,1", r"column 'price', row 2: .* got 'nan'"),
        ("1,u,a,1e999,1,x,1", r"column 'price', row 2: .* got '1e999'"),
        ("1,u,a,1,-0.5,x,1", r"column 'w', row 2: a weight cannot be negative, got '-0\.5'"),
        ("1,u,a,1,nan,x,1", r"column 'w', row 2: expected a finite number"),
        ("1,u,a,1,,x,1", r"column 'w', row 2: a weight cannot be blank, got a blank cell"),
        ("1,u,a,1,1,,1", r"column 'g', row 2: a group cannot be blank"),
        ("1,u,a,1,1,x,", r"column 't', row 2: a time cannot be blank"),
        ("1,u,a,1,1,x,soon", r"column 't', row 2: expected a finite number, got 'soon'"),
        ("2,u,a,1,1,x,1", r"column 'click', row 2: a label must be 0 or 1 .* got '2'"),
    ],
)
def test_a_bad_cell_is_named_by_column_row_and_value(
    tmp_path: Path, line: str, message: str
) -> None:
    path = written(tmp_path, "0,u,a,1,1,x,1", line)
    with pytest.raises(DataError, match=message) as caught:
        read_log(path, FULL)
    assert "\n" not in str(caught.value)


def test_a_date_that_is_none_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "0,u,a,1,1,x,2024-05-01", "0,u,a,1,1,x,2024-99-01")
    with pytest.raises(DataError, match="row 2: a time must be a number or an ISO date"):
        read_log(path, FULL)


def test_times_are_read_by_the_schemas_form(tmp_path: Path) -> None:
    form = 'time = "t"\ntime_format = "%d/%m/%Y %H:%M"'
    schema = Schema.parse(schema_text(FULL).replace('time = "t"', form))
    path = written(tmp_path, "0,u,a,1,1,x,28/11/2026 09:30", "1,u,a,1,1,x,01/12/2026 00:00")
    assert not_none(read_log(path, schema).time).tolist() == [1795858200.0, 1796083200.0]
    path = written(tmp_path, "0,u,a,1,1,x,28/11/2026 09:30", "0,u,a,1,1,x,2026-11-28")
    with pytest.raises(DataError, match=r"'t', row 2: expected a time of the form %d/%m/%Y %H:%M"):
        read_log(path, schema)


def test_a_form_of_times_needs_a_time() -> None:
    with pytest.raises(SchemaError, match="time_format goes with a time"):
        Schema.parse('label = "click"\ntime_format = "%d/%m/%Y"\n' + FIELDS)


def test_weights_of_nothing_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "0,u,a,1,0,x,1", "1,u,a,1,0,x,1")
    with pytest.raises(DataError, match="weight 'w' is 0 in every row"):
        read_log(path, FULL)


def test_blanks_around_a_number_do_not_matter(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "1,u,a, 2.5 ,,,", "0,u,a,  ,,,"), SCHEMA)
    assert log.columns["price"] == [2.5, None]


@pytest.mark.parametrize(
    ("field", "cells", "message"),
    [
        ("user", [["a"], ["b"]], "'user' holds lists"),
        ("price", [True, False], "'price' holds Boolean, not numbers"),
        ("price", [[1.0], [2.0]], r"'price' holds List.* not numbers"),
        ("price", [1.0, float("inf")], "'price', row 2: expected a finite number, got inf"),
    ],
)
def test_a_parquet_column_that_its_field_cannot_hold_is_refused(
    tmp_path: Path, field: str, cells: Any, message: str
) -> None:
    columns = {"click": [0, 1], "user": ["u", "v"], "tags": ["a", "b"], "price": [1.0, 2.0]}
    path = tmp_path / "log.parquet"
    pl.DataFrame(columns | {field: cells}).write_parquet(path)
    with pytest.raises(DataError, match=message):
        read_log(path, SCHEMA)


def test_taking_rows_keeps_everything_of_them_in_the_order_asked(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, "1,a,,1,3,x,30", "0,b,,2,4,y,10", "0,c,,3,5,z,20"), FULL)
    taken = log.take(np.array([2, 0]))
    assert taken.columns["user"] == ["c", "a"]
    assert taken.columns["price"] == [3.0, 1.0]
    assert taken.labels.tolist() == [0.0, 1.0]
    assert taken.weights is not None
    assert taken.time is not None
    assert taken.group is not None
    assert taken.weights.tolist() == [5.0, 3.0]
    assert taken.time.tolist() == [20.0, 30.0]
    assert taken.group.tolist() == [not_none(log.group)[2], not_none(log.group)[0]]


def test_a_group_has_one_number_in_every_log(tmp_path: Path) -> None:
    one = read_log(written(tmp_path, "1,u,a,1,1,x,1", "0,u,a,1,1,7,1"), FULL)
    other = read_log(written(tmp_path, "1,u,a,1,1,7.0,1", "0,u,a,1,1,y,1"), FULL)
    assert not_none(one.group)[1] == not_none(other.group)[0]
    assert len({*not_none(one.group), *not_none(other.group)}) == 3


@pytest.mark.parametrize("cell", ["", '""', "  "])
def test_a_blank_group_is_refused_however_it_is_written(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, "0,u,a,1,1,x,1", f"1,u,a,1,1,{cell},1")
    with pytest.raises(DataError, match=r"column 'g', row 2: a group cannot be blank"):
        read_log(path, FULL)


def test_null_values_among_numbers_are_null_and_other_words_are_refused(tmp_path: Path) -> None:
    head = 'label = "click"\nnull_values = ["NA", "\\\\N", "-1"]\n'
    schema = Schema.parse(head + FIELDS)
    path = written(tmp_path, "1,NA,a;NA,-1.0,,,", "0,\\N,\\N,NA,,,", "0,-1,b, 2.50 ,,,")
    assert read_log(path, schema).rows() == [
        {"user": "NA", "tags": ["a"], "price": None},
        {"user": "\\N", "tags": [], "price": None},
        {"user": "-1", "tags": ["b"], "price": 2.5},
    ]
    with pytest.raises(DataError, match=r"column 'price', row 1: .* got '\?'"):
        read_log(written(tmp_path, "1,u,a,?,,,"), schema)


def test_texts_stay_as_they_are_and_lists_and_numbers_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "1, 1.50 ,[1 2],1e3,,,", "0,TRUE,['x'],.5,,,")
    assert read_log(path, SCHEMA).rows() == [
        {"user": " 1.50 ", "tags": ["1", "2"], "price": 1000.0},
        {"user": "TRUE", "tags": ["x"], "price": 0.5},
    ]


def test_a_column_of_moments_is_checked_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,ts\n1,2026-11-28 09:30\n0,\n1,1795901400\n0,soon\n")
    schema = Schema.parse(
        'label = "click"\n[fields.hour]\nkind = "numeric"\nsource = "ts"\npart = "hour"\n'
    )
    with pytest.raises(DataError, match=r"'ts', row 4: expected a moment, got 'soon'"):
        read_log(path, schema)


def test_a_field_with_buckets_learns_of_whole_columns_what_it_learns_of_rows() -> None:
    text = 'label = "c"\n[fields.f]\nkind = "categorical"\nbuckets = 8\nmin_count = 1\n'
    schema = Schema.parse(text)
    rows = ["a", "b", "a", None]
    expected = {"f": fit_vocabulary(schema.fields["f"], rows)}
    assert learnt(schema, {"f": Cells.of(pl.Series(rows))}) == expected
    assert grown(schema, expected, {"f": Cells.of(pl.Series(["new"]))}) == expected
