"""What each field is worth to a net."""

from collections.abc import Callable

import numpy as np

from model.bundle.bundle import Bundle
from model.encoding import Encoder
from narrowing import not_none
from tiny import tiny_rows
from training.data.examples import examples
from training.data.log import Log, encode
from training.evaluation.importance import importances


def test_the_fields_of_the_planted_pair_are_worth_most_and_their_figures_get_worse(
    make_bundle: Callable[..., Bundle],
) -> None:
    bundle = make_bundle("fm")
    rows = tiny_rows(1500, seed=1)
    columns = {name: [row[name] for row in rows] for name in bundle.schema.fields}
    log = Log(columns, np.array([row["click"] for row in rows], np.float32))
    encoder: Encoder = bundle.read_encoder()
    found = importances(bundle.read_scorer(), encoder, examples(encode(encoder, log), log), log, 1)
    assert [one.field for one in found] != list(bundle.schema.fields)
    assert {one.field for one in found} == set(bundle.schema.fields)
    assert {one.field for one in found[:2]} == {"device", "ad"}
    for one in found[:2]:
        drop = not_none(one.auc)
        assert drop.significant
        assert drop.value < 0 < not_none(one.judged).value
        assert drop.interval[0] <= drop.value <= drop.interval[1]
    again = importances(bundle.read_scorer(), encoder, examples(encode(encoder, log), log), log, 1)
    assert again == found
