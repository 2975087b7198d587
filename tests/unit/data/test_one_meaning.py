"""One value, one meaning: values of every type, written as Parquet, as CSV by several tools and as
JSON by several callers, are encoded and scored alike, whichever of the files was learnt from.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from model.encoding import Encoder
from model.held_out import field_keys
from model.schema import Schema
from model.values.ids import UNKNOWN
from model.vocabulary import fit_vocabulary
from service.scoring.payloads import PayloadDecoder
from training.columns.keys import column_keys
from training.columns.learn import learnt
from training.data.files import Data
from training.data.log import encode
from training.data.read_log import read_log
from training.data.table import Table

EXAMPLES, ROWS = 100, 10
LISTS = "[fields.{name}]\nkind = 'multivalue'\nmin_count = 1\nmax_values = 4\nseparator = ','\n"
SPACED = LISTS.replace("','", "', '")
TEXTS = "[fields.{name}]\nkind = 'categorical'\nmin_count = 1\n"
NUMBER = "[fields.{name}]\nkind = 'numeric'\n"
BINS = "[fields.{name}]\nkind = 'numeric'\ntransform = 'quantile'\nbins = 4\n"
HOUR = "[fields.{name}_h]\nkind = 'numeric'\nsource = '{name}'\npart = 'hour'\ntransform = 'none'\n"
NULLS = "null_values = ['NA', '\\N']\n"

Write = Callable[[Any], Any]


@dataclass(frozen=True)
class Kind:
    """Values of one type: how each form writes them, and the fields that may read them."""

    values: st.SearchStrategy[Any]
    dtype: Any
    csv: tuple[Write, ...]
    json: tuple[Write, ...]
    fields: tuple[str, ...]


def plain(value: Any) -> Any:
    return value


def scientific(value: Any) -> Any:
    return f"{Decimal(value):e}"


def as_float(value: Any) -> Any:
    return float(value)


def longest(value: Any) -> Any:
    # a whole number keeps every digit that is written, and a float has no more than these
    return repr(value) if abs(value) >= 2**53 else f"{value:.17g}"


def zone(hours: Any) -> Any:
    return lambda at: at.astimezone(timezone(timedelta(hours=hours)))


def iso(sep: Any = "T", spec: Any = "auto", hours: Any = 0, end: Any = "") -> Any:
    moved = zone(hours)
    return lambda at: moved(at).isoformat(sep, spec).replace("+00:00", "Z") + end


def fraction(digits: Any) -> Any:
    return lambda at: at.strftime("%Y-%m-%d %H:%M:%S.%f").ljust(20 + digits, "0")


def shortest(value: Any) -> Any:
    return str(np.float32(value))


def postgres(cell: Any) -> Any:
    return "{" + ",".join(f'"{v}"' if " " in v else v for v in cell) + "}"


def numpy_texts(cell: Any) -> Any:
    return "[" + " ".join(map(repr, cell)) + "]"


def numbers_of(cell: Any) -> Any:
    return [float(shortest(value)) for value in cell]


words = st.text("abc xyzé'", min_size=1, max_size=5).map(str.strip).filter(bool)
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), max_size=6
) | st.sampled_from(["1e+05", "100000", "0.50", "007", "TRUE", "9.10", "é", "2026-11-28"])
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
milli = moments.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
seconds = moments.map(lambda at: at.replace(microsecond=0)) | st.dates(
    date(1990, 1, 1), date(2100, 1, 1)
).map(lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC))
singles = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.1, 0.2, 0.3]
).map(lambda v: float(np.float32(v)))
doubles = st.floats(-1e18, 1e18) | st.floats(-1e100, 1e100)  # whose squares are finite
scaled = st.integers(-(10**9), 10**9).map(lambda n: Decimal(n).scaleb(-4))
NUMERIC_FIELDS = (TEXTS, NUMBER, BINS)


def word(pair: tuple[str, str], value: bool) -> str:
    """What a log of these two words has for a value."""
    return pair[not value]


BOOLEAN_WORDS = [("TRUE", "FALSE"), ("True", "False"), ("yes", "no"), ("t", "f"), ("Y", "N")]

KINDS = {
    "float32": Kind(
        singles,
        pl.Float32,
        (shortest, lambda v: f"{float(shortest(v))!r}"),
        (lambda v: float(shortest(v)), shortest),
        NUMERIC_FIELDS,
    ),
    "float64": Kind(
        doubles,
        pl.Float64,
        (repr, longest, lambda v: f" {v!r} "),
        (plain, repr),
        NUMERIC_FIELDS,
    ),
    "int64": Kind(
        st.integers(-(2**53), 2**53),
        pl.Int64,
        (str, lambda v: f"{v}.0", scientific),
        (plain, str, as_float),
        NUMERIC_FIELDS,
    ),
    "uint64": Kind(st.integers(2**63, 2**64 - 1), pl.UInt64, (str,), (plain, str), (TEXTS,)),
    "decimal0": Kind(
        st.integers(10**17, 10**17 + 9), pl.Decimal(38, 0), (str,), (plain, str), (TEXTS,)
    ),
    "decimal4": Kind(
        scaled,
        pl.Decimal(38, 4),
        (str, lambda v: str(v).replace("0.", ".", 1) if abs(v) < 1 else str(v), scientific),
        (as_float, str),
        NUMERIC_FIELDS,
    ),
    "bool": Kind(
        st.booleans(),
        pl.Boolean,
        tuple(partial(word, pair) for pair in BOOLEAN_WORDS),
        (plain, str, lambda v: str(v).lower()),
        (TEXTS,),
    ),
    "text": Kind(
        texts,
        pl.String,
        (plain, lambda v: f"  {v}\t", lambda v: normalize("NFD", v)),
        (plain, lambda v: f"{v} ", lambda v: normalize("NFD", v)),
        (TEXTS, TEXTS + "as_text = true\n"),
    ),
    "category": Kind(words, pl.Categorical, (plain,), (plain,), (TEXTS,)),
    "naive": Kind(
        seconds.map(lambda at: at.replace(tzinfo=None)),
        pl.Datetime("ms"),
        (str, datetime.isoformat, fraction(6), fraction(9)),
        (datetime.isoformat, lambda at: f"{at.isoformat()}Z"),
        (TEXTS, HOUR),
    ),
    "seconds": Kind(
        seconds,
        pl.Datetime("ns", "Europe/Kyiv"),
        (iso(), iso(" ", hours=2), fraction(6), fraction(9), iso(end="")),
        (iso(), iso(spec="milliseconds"), iso(hours=-5)),
        (TEXTS, HOUR),
    ),
    "milli": Kind(
        milli,
        pl.Datetime("ms", "UTC"),
        (iso(spec="milliseconds"), iso(" ", "microseconds", 2), fraction(9)),
        (iso(), iso(spec="milliseconds")),
        (TEXTS, HOUR),
    ),
    "micro": Kind(moments, pl.Datetime("us", "UTC"), (fraction(6),), (iso(),), (TEXTS, HOUR)),
    "unix": Kind(
        seconds,
        pl.Datetime("us", "UTC"),
        (lambda at: str(int(at.timestamp())), iso()),
        (lambda at: int(at.timestamp()) * 1000, lambda at: str(int(at.timestamp())), iso()),
        (HOUR,),
    ),
    "date": Kind(
        st.dates(date(1900, 1, 1), date(2200, 1, 1)),
        pl.Date,
        (str, lambda day: f"{day} 00:00:00"),
        (str, lambda day: f"{day}T00:00:00.000Z"),
        (TEXTS, HOUR),
    ),
    "time": Kind(
        st.times(),
        pl.Time,
        (lambda at: at.strftime("%H:%M:%S.%f000"),),
        (time.isoformat,),
        (TEXTS,),
    ),
    "texts": Kind(
        st.lists(words, min_size=1, max_size=4),
        pl.List(pl.String),
        (json.dumps, repr, postgres, numpy_texts, ",".join, ", ".join),
        (plain, ",".join, json.dumps),
        (LISTS, SPACED),
    ),
    "singles": Kind(
        st.lists(singles, min_size=1, max_size=4),
        pl.List(pl.Float32),
        (lambda cell: f"[{' '.join(map(shortest, cell))}]", lambda cell: str(numbers_of(cell))),
        (numbers_of, lambda cell: list(map(shortest, cell))),
        (LISTS,),
    ),
    "ints": Kind(
        st.lists(st.integers(-9, 10**18), min_size=1, max_size=4),
        pl.List(pl.Int64),
        (str, lambda cell: ",".join(map(str, cell))),
        (plain, lambda cell: ",".join(map(str, cell))),
        (LISTS,),
    ),
}
NULL_CELLS = ("", "NA", "\\N", " ")


@st.composite
def columns(draw: Any) -> Any:
    """For each kind a field, and a column of values with nulls as Parquet, CSV and JSON have it."""
    drawn = {}
    for name, kind in KINDS.items():
        values = draw(st.lists(kind.values, min_size=ROWS, max_size=ROWS))
        nulls = draw(st.sets(st.integers(0, ROWS - 1), max_size=2))
        as_csv, as_json = draw(st.sampled_from(kind.csv)), draw(st.sampled_from(kind.json))
        null, field = draw(st.sampled_from(NULL_CELLS)), draw(st.sampled_from(kind.fields))
        cells = [None if row in nulls else value for row, value in enumerate(values)]
        drawn[name] = (
            field.format(name=name) + NULLS,
            pl.Series(name, cells, dtype=kind.dtype),
            [null if cell is None else as_csv(cell) for cell in cells],
            [None if cell is None else as_json(cell) for cell in cells],
        )
    return drawn


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("forms")


@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
@given(columns())
def test_a_value_scores_alike_in_every_form_whichever_was_learnt_from(
    home: Any, drawn: Any
) -> None:
    fields, parquet, texts, typed = ([one[i] for one in drawn.values()] for i in range(4))
    schema = Schema.parse("label = 'click'\n" + "".join(fields))
    labels = [row % 2 for row in range(ROWS)]
    pl.DataFrame([pl.Series("click", labels), *parquet]).write_parquet(home / "log.parquet")
    with (home / "log.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["click", *drawn])
        writer.writerows(zip(labels, *texts, strict=True))
    rows = [dict(zip(drawn, row, strict=True)) for row in zip(*typed, strict=True)]
    lines = (json.dumps(row | {"click": label}) for row, label in zip(rows, labels, strict=True))
    (home / "log.jsonl").write_text("\n".join(lines), encoding="utf-8")
    asked = PayloadDecoder(ROWS).decode(json.dumps({"instances": rows}).encode())

    logs = [read_log(home / f"log.{form}", schema) for form in ("parquet", "csv", "jsonl")]
    for learnt_from in logs:
        fitted = {
            name: fit_vocabulary(field, learnt_from.columns[schema.sources[name]])
            for name, field in schema.fields.items()
        }
        encoder = Encoder(schema, fitted)
        forms = [encode(encoder, log) for log in logs]
        few = [encoder.encode_request({}, asked.rows[place : place + 2]) for place in (0, 2)]
        forms.append(encoder.encode_request({}, asked.rows[0:ROWS]))  # by column
        weights = np.random.default_rng(1).normal(size=encoder.rows)
        first = forms[0]
        for form in forms:
            for slot, name in enumerate(schema.slots):
                said = name, *drawn[schema.sources[name]][2:]
                assert form.ids[:, slot].tolist() == first.ids[:, slot].tolist(), said
                assert form.values[:, slot].tolist() == first.values[:, slot].tolist(), said
            scores = 1 / (1 + np.exp(-(weights[form.ids] * form.values).sum(1)))
            expected = 1 / (1 + np.exp(-(weights[first.ids] * first.values).sum(1)))
            assert np.abs(scores - expected).max() <= 1e-7
        assert np.concatenate([one.ids for one in few]).tolist() == first.ids[:4].tolist()
        assert np.concatenate([one.values for one in few]).tolist() == first.values[:4].tolist()
        assert not (first.ids - encoder.offsets == UNKNOWN).any()


@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate])
@given(columns(), st.data())
def test_whole_columns_are_learnt_and_encoded_as_their_rows_are(drawn: Any, data: Any) -> None:
    schema = Schema.parse("label = 'click'\n" + "".join(fields for fields, *_ in drawn.values()))
    labels = pl.Series("click", [row % 2 for row in range(ROWS)])
    frame = pl.DataFrame([labels, *(series for _, series, *_ in drawn.values())])
    log = read_log(Table(frame, Data((Path("log"),)), [(Path("log"), ROWS)]), schema)
    rows = np.array(data.draw(st.lists(st.integers(0, ROWS - 1), min_size=1)))
    for part in (log, log.take(rows), log.joined(log.take(rows))):
        lists = {name: list(column) for name, column in part.columns.items()}
        assert lists == part.columns
        known = learnt(schema, part.columns)
        plainly = {
            name: fit_vocabulary(field, lists[schema.sources[name]])
            for name, field in schema.fields.items()
        }
        assert known == plainly
        encoder = Encoder(schema, known)
        by_row, whole = encoder.encode_columns(lists, len(part)), encode(encoder, part)
        assert whole.ids.tolist() == by_row.ids.tolist()
        assert whole.values.tolist() == by_row.values.tolist()
        assert whole.unknown == by_row.unknown
        keys = column_keys(part.columns, len(part))
        assert keys.tolist() == field_keys(lists, len(part)).tolist()
