"""The draft of columns as spreadsheets, databases and ad servers write them."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from drafts import comment, draft_of
from exported_columns import (
    AMOUNTS,
    AMOUNTS_WITHOUT_TIES,
    CLICKS,
    EXPORTED,
    IDS,
    LEFT_OUT,
    MOMENTS,
    NUMBERS,
    SIGNED,
    TIMES,
)
from model.errors import DataError
from model.schema import Schema
from model.values.moments import part_of
from training.data.read_log import read_log
from training.draft.draft_schema import draft_schema


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return draft_of(tmp_path_factory.mktemp("exports"), {"click": CLICKS, **EXPORTED})


@pytest.fixture(scope="module")
def schema(drafted: Any) -> Any:
    return drafted[2]


def said_of(text: str, name: str) -> str:
    """What the draft says of a column."""
    out = (line for line in text.splitlines() if line.startswith(f'#   "{name}":'))
    return next(out, comment(text, name))


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_numeric_with_the_marks_and_the_nulls_they_are_written_with(
    drafted: Any, name: str
) -> None:
    _, thousands, decimal, nulls = NUMBERS[name]
    _, text, schema = drafted
    field = schema.fields[name]
    assert (field.kind, field.thousands, field.decimal) == ("numeric", thousands, decimal)
    assert sorted(field.null_values) == sorted(nulls)
    assert not nulls or "% of values are numbers; the others: " in said_of(text, name)


def test_every_number_is_the_one_written(drafted: Any) -> None:
    path, _, schema = drafted
    columns = read_log(path, schema).columns
    for name in ("spaced", "no_break", "narrow", "swiss", "typeset"):
        assert list(columns[name]) == AMOUNTS.tolist()
    assert list(columns["spaced_or_dot"])[:3] == [None, *AMOUNTS[1:3]]


@pytest.mark.parametrize("name", IDS)
def test_what_names_something_is_categorical(schema: Any, name: str) -> None:
    assert schema.fields[name].kind == "categorical"
    assert schema.fields[name].part is None
    assert schema.fields[name].null_values == ()


def test_large_ids_of_parquet_are_ids_too(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    columns = {name: IDS[name] for name in ("author", "uid", "created_by", "milli")}
    pl.DataFrame({"click": CLICKS, **columns}).write_parquet(path)
    assert list(Schema.parse(draft_schema(path, "click")).fields) == list(columns)


@pytest.mark.parametrize("name", SIGNED)
def test_numbers_with_a_sign_are_said_to_be_such(drafted: Any, name: str) -> None:
    _, text, schema = drafted
    assert getattr(schema.fields.get(name), "kind", "categorical") == "categorical"
    assert f"numbers with a {SIGNED[name][1]} sign: written without it" in said_of(text, name)


@pytest.mark.parametrize("name", MOMENTS)
def test_a_time_gives_its_parts(schema: Any, name: str) -> None:
    parts = {field.part for field in schema.fields.values() if field.source == name}
    assert parts == (MOMENTS[name][1] or {"hour", "weekday"})
    assert name not in schema.fields


def test_hours_are_those_of_the_times_in_a_log_and_in_a_request(drafted: Any) -> None:
    path, _, schema = drafted
    columns = read_log(path, schema).columns
    for name in ("ipinyou", "tweet", "mail", "http", "clock", "shuffled"):
        field = schema.fields[f"{name}_hour"]
        assert field.own(columns[name]) == [time.hour for time in TIMES]
    stamp = MOMENTS["ipinyou"][0][0]
    assert part_of(int(stamp), "hour", schema.fields["ipinyou_hour"].format) == TIMES[0].hour


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_comes_in_no_later_row_is_left_out_with_the_reason(drafted: Any, name: str) -> None:
    _, text, schema = drafted
    assert name not in schema.sources.values()
    assert LEFT_OUT[name][1] in said_of(text, name)


@pytest.mark.parametrize("name", AMOUNTS_WITHOUT_TIES)
def test_amounts_without_ties_are_numbers(schema: Any, name: str) -> None:
    assert schema.fields[name].kind == "numeric"


@pytest.mark.parametrize(
    ("name", "private"),
    [
        *((name, True) for name in ("device_ip", "deviceId", "client_ip", "ipinyouid", "msno")),
        *((name, False) for name in ("device", "device_model", "client", "user_device")),
    ],
)
def test_names_of_who_somebody_is_are_private(tmp_path: Path, name: str, private: bool) -> None:
    path = tmp_path / "log.csv"
    pl.DataFrame({"click": CLICKS, name: [f"x{n % 700}" for n in range(len(CLICKS))]}).write_csv(
        path
    )
    assert Schema.parse(draft_schema(path, "click")).fields[name].private is private


def test_lists_of_numbers_with_a_comma_are_lists_but_decimals_with_a_unit_are_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.csv"
    rows = range(len(CLICKS))
    lists = [",".join(str(10_000 + n * n * k % 37) for k in range(1, 2 + n % 5)) for n in rows]
    lengths = [f"{n % 90 + 1},{n % 7} km" for n in rows]
    pl.DataFrame({"click": CLICKS, "tags": lists, "way": lengths}).write_csv(path)
    schema = Schema.parse(draft_schema(path, "click"))
    assert [field.kind for field in schema.fields.values()] == ["multivalue", "categorical"]


def test_a_column_of_a_type_without_a_meaning_is_left_out(tmp_path: Path) -> None:
    path, rows = tmp_path / "log.parquet", range(len(CLICKS))
    spent, raw = pl.Series([*rows]).cast(pl.Duration("us")), pl.Series([b"x" for _ in rows])
    device = ["ab"[n % 2] for n in rows]
    columns = {"click": CLICKS, "spent": spent, "raw": raw, "device": device}
    pl.DataFrame(columns).write_parquet(path)
    text = draft_schema(path, "click")
    assert list(Schema.parse(text).fields) == ["device"]
    assert "holds Duration(time_unit='us'), which JSON has no value for" in said_of(text, "spent")
    assert "holds Binary, no plain values" in said_of(text, "raw")


def test_a_json_column_of_what_is_no_value_is_left_out_with_its_row(tmp_path: Path) -> None:
    for name, last in (("a.jsonl", [1]), ("b.jsonl", [[1]])):
        rows = [{"click": n % 2, "device": "abc"[n % 3], "boxes": [n]} for n in range(30)]
        lines = [*rows, {"click": 0, "device": "a", "boxes": last}]
        (tmp_path / name).write_text("\n".join(map(json.dumps, lines)))
    text = draft_schema(tmp_path, "click")
    assert list(Schema.parse(text).fields) == ["device"]
    assert "row 31: an object or a list of lists is no value" in said_of(text, "boxes")
    with pytest.raises(DataError, match="column 'boxes', row 31: an object"):
        draft_schema(tmp_path, "boxes")
