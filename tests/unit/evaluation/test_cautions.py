"""What a fit has to say aloud, and what it has not."""

from typing import Any

import numpy as np
import pytest

from model.encoding import Encoder
from model.schema import Schema
from model.vocabulary import fit_vocabulary
from training.data.log import Log
from training.evaluation import cautions

SCHEMA = Schema.parse(
    """
label = "click"
[fields.site]
kind = "categorical"
[fields.price]
kind = "numeric"
transform = "quantile"
"""
)
EPOCH = {"train_loss": 0.5, "valid_loss": 0.5, "best": True, "diverged": 0}


def log(rows: Any, clicks: Any = None, **columns: Any) -> Any:
    labels = np.zeros(rows, np.float32)
    labels[: rows // 4 if clicks is None else clicks] = 1
    shuffled = np.random.default_rng(5).permutation(labels)
    return Log({name: [cells(n) for n in range(rows)] for name, cells in columns.items()}, shuffled)


def learnt(given: Any) -> Any:
    return {n: fit_vocabulary(f, given.columns[n]) for n, f in SCHEMA.fields.items()}


GOOD = log(2000, site=lambda n: f"s{n % 7}", price=lambda n: n * 37 % 1001)


def test_a_good_log_is_passed_in_silence() -> None:
    known = learnt(GOOD)
    encoder = Encoder(SCHEMA, known)
    encoded = encoder.encode_columns(GOOD.columns, len(GOOD))
    assert not cautions.of_rows(GOOD, "click")
    assert not cautions.of_vocabularies(SCHEMA, known)
    assert not cautions.of_values(encoded, encoder, "the valid part")
    assert not cautions.of_epochs([EPOCH], from_scratch=True)


def test_nineteen_rows_are_few() -> None:
    assert cautions.of_rows(log(19), "click") == [
        "only 19 rows to train on (4 clicks): what the net learns of them is mostly chance"
    ]
    assert "only 19 rows to train on:" in cautions.of_rows(log(19), "regression")[0]


def test_cautions_name_few_clicks_among_many_rows() -> None:
    assert "only 5,000 rows to train on (29 clicks)" in cautions.of_rows(log(5000, 29), "click")[0]


def test_a_leak_is_named_with_the_way_out() -> None:
    given = Log({"bought": [float(y) for y in GOOD.labels]}, GOOD.labels)
    (line,) = cautions.of_rows(given, "click")
    assert line.startswith(
        "LEAK: column 'bought': its values rank the label by themselves, AUC 1.0000"
    )
    assert "--drop-field 'bought'" in line


def test_an_empty_vocabulary_and_lost_bins_are_named() -> None:
    given = log(2000, site=lambda n: f"s{n}", price=lambda n: 5.0 + 0 * n)
    said = cautions.of_vocabularies(SCHEMA, learnt(given))
    assert said == [
        "empty vocabulary of 'site': no value stands in min_count rows, so every value is unknown",
        "field 'price': 1 of 32 bins is left, since its numbers hardly differ",
    ]


@pytest.mark.parametrize(
    ("share", "line"),
    [
        (1.0, "100 % of the values of 1 field are unknown in today.csv: 'site'"),
        (0.6, "mostly unknown values in today.csv: 'site' 60 %"),
    ],
)
def test_mostly_unknown_values_are_named(share: float, line: str) -> None:
    encoder = Encoder(SCHEMA, learnt(GOOD))
    other = log(100, site=lambda n: f"new {n}" if n < 100 * share else "s1", price=lambda n: n)
    encoded = encoder.encode_columns(other.columns, 100)
    assert cautions.of_values(encoded, encoder, "today.csv") == [line]


def test_losses_that_are_not_finite_and_a_fit_without_gain_are_named() -> None:
    broken = {**EPOCH, "best": False, "diverged": 2}
    assert cautions.of_epochs([broken], from_scratch=True) == [
        "losses were not finite 2 times: lower the learning rate",
        "no epoch of 1 was better than the start: the net is untrained",
    ]
    nan = {**EPOCH, "train_loss": float("nan")}
    assert cautions.of_epochs([nan], from_scratch=False) == [
        "losses were not finite once: lower the learning rate"
    ]
    assert cautions.of_epochs([], from_scratch=False) == [
        "no epoch of 0 was better than the start: the net is as the bundle had it"
    ]
