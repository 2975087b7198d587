"""A bundle that is fitted on a log of bid requests."""

import json
import random
from typing import Any

import pytest

from bid_requests import OPENRTB_SCHEMA, log_line
from model.bundle.bundle import Bundle
from model.schema import Schema
from training.config import Config, Step
from training.data.read_log import read_log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher


@pytest.fixture(scope="session")
def schema() -> Any:
    return Schema.parse(OPENRTB_SCHEMA)


@pytest.fixture(scope="session")
def bundle(schema: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder, draw = tmp_path_factory.mktemp("openrtb"), random.Random(1)
    path = folder / "bids.jsonl"
    path.write_text("\n".join(json.dumps(log_line(draw, number)) for number in range(1500)))
    step = Step(epochs=3, batch=128, learning_rate=0.02)
    config = Config(net="fm", embedding=4, fit=step)
    log = read_log(path, schema)
    fit(log, None, None, schema, config, folder / "bundle", 1, Watcher())
    return Bundle.open(folder / "bundle")
