"""A bundle of the tiny log that is fitted further on the rows of a later day."""

from typing import Any

import numpy as np

from model.bundle.bundle import Bundle
from tiny import tiny_rows
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher
from training.state.warm_start import WarmStart

STEP = Step(epochs=2, batch=128, learning_rate=0.02)
STILL = Step(epochs=0)


def newer_rows(seed: Any = 7) -> Any:
    """Rows of a later day: two new ads and a new device, each often, and an ad seen once. Nobody
    uses a tablet or likes golf.
    """
    rows = tiny_rows(seed=seed)
    for number, row in enumerate(rows):
        if number % 5 == 0:
            row["ad"] = ("a-new", "b-new")[number % 2]
        if number % 7 == 0:
            row["device"] = "glasses"
        row["interests"] = [liked for liked in row["interests"] or () if liked != "golf"] or None
    rows[3]["ad"] = "seen once"
    return rows


def as_log(rows: Any, schema: Any) -> Any:
    columns = {name: [row[name] for row in rows] for name in schema.fields}
    return Log(columns, np.array([row["click"] for row in rows], np.float32))


def go_on(
    bundle: Any,
    out: Any,
    rows: Any,
    step: Any = STILL,
    watcher: Any = None,
    replay: Any = None,
    share: Any = 0.2,
) -> Any:
    """`rows` are both trained on and held out, so that all of them count as training rows."""
    schema = bundle.schema
    start = WarmStart.open(bundle.directory).with_replay(replay, share)
    net = bundle.manifest.net
    config = Config(net=net, embedding=4, attention_size=4, fit=step, attention=step)
    log = as_log(rows, schema)
    fit(log, log, None, schema, config, out, 1, watcher or Watcher(), start)
    return Bundle.open(out)


def scores(bundle: Any, rows: Any) -> Any:
    fields = [{name: row[name] for name in bundle.schema.fields} for row in rows]
    return bundle.read_scorer().predict(bundle.read_encoder().encode(fields))
