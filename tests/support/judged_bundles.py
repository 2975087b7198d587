"""Bundles for the gate to judge, fitted on the tiny log."""

from typing import Any

import numpy as np

from model.bundle.bundle import Bundle
from model.schema import Schema
from tiny import TINY_SCHEMA, tiny_rows
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher

STEP = Step(epochs=4, batch=128, learning_rate=0.02)


def log(rows: Any = 3000, seed: Any = 5, schema: Any = TINY_SCHEMA, **change: Any) -> Any:
    drawn = tiny_rows(rows, seed)
    names = Schema.parse(schema).fields
    columns = {name: [row[name] for row in drawn] for name in names}
    return Log(columns, np.array([row["click"] for row in drawn], np.float32), **change)


def made(out: Any, schema: Any = TINY_SCHEMA, data: Any = None, **settings: Any) -> Any:
    config = Config.model_validate(
        {"net": "fm", "embedding": 4, "fit": STEP, "valid_share": 0.3, **settings}
    )
    fit(data or log(), None, None, Schema.parse(schema), config, out, 1, Watcher())
    return Bundle.open(out)
