"""`afm-train fit --from`: a bundle gone on with, on newer rows."""

from dataclasses import replace

import numpy as np
import pytest

from model.bundle import Bundle
from tiny import tiny_rows
from training.cli import NETS
from training.config import Config, Step
from training.data import Log
from training.fit import fit
from training.loop import Watcher
from training.warm_start import WarmStart

STEP = Step(epochs=2, batch=128, learning_rate=0.02)
STILL = Step(epochs=0)


def newer_rows(seed=7):
    """Rows of a later day: two new ads and one new device, each seen often, and one seen once."""
    rows = tiny_rows(seed=seed)
    for number, row in enumerate(rows):
        if number % 5 == 0:
            row["ad"] = ("a-new", "b-new")[number % 2]
        if number % 7 == 0:
            row["device"] = "glasses"
    rows[3]["ad"] = "seen once"
    return rows


def as_log(rows, schema):
    columns = {name: [row[name] for row in rows] for name in schema.fields}
    return Log(columns, np.array([row["click"] for row in rows], np.float32))


def config(net, step):
    return Config(net=net, embedding=4, attention_size=4, fit=step, attention=step)


def go_on(bundle, out, rows, step=STILL, **replay):
    schema = bundle.schema
    start = replace(WarmStart.open(bundle.directory), **replay)
    chosen = config(bundle.manifest.net, step)
    log = as_log(rows, schema)
    fit(log, log, None, schema, chosen, out, 1, Watcher(), start)
    return Bundle.open(out)


def logits(bundle, rows):
    scored = [{name: row[name] for name in bundle.schema.fields} for row in rows]
    return bundle.scorer().predict(bundle.encoder().encode(scored)).logits


def table_rows(bundle, name, field, ids):
    """The rows of one table that the ids of a field have."""
    first = bundle.encoder().offsets[bundle.schema.slots.index(field)]
    return WarmStart.open(bundle.directory).parameters[name][first + np.array(ids)]


@pytest.mark.parametrize("net", NETS)
def test_before_the_first_step_every_row_scores_to_the_bit_as_it_did(make_bundle, tmp_path, net):
    old = make_bundle(net)
    new = go_on(old, tmp_path / "new", newer_rows())
    assert new.manifest.dimensions.rows == old.manifest.dimensions.rows + 3
    # rows with the new values too: until now they were the unknown row's, which theirs is a copy of
    for rows in (tiny_rows(seed=3), newer_rows()):
        assert np.array_equal(logits(new, rows), logits(old, rows))
