"""One value, one meaning: values of every type, written as Parquet, as CSV by several tools and as
JSON by several callers, are encoded and scored alike, whichever of the files was learnt from.
"""

import csv
import json
from pathlib import Path
from typing import Any

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
from value_kinds import KINDS

EXAMPLES, ROWS = 100, 10
NULLS = "null_values = ['NA', '\\N']\n"
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
