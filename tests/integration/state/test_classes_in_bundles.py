"""A fit with count classes leaves a bundle like any other: continued and resumed to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle.bundle import Bundle
from model.bundle.files import WEIGHTS
from model.schema import Schema
from training.config import FOLDED, Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Epoch, Watcher
from training.state.checkpoint import CheckpointOptions
from training.state.warm_start import WarmStart

SCHEMA = Schema.parse("""
label = "y"
[fields.query]
kind = "categorical"
[fields.ad]
kind = "categorical"
role = "candidate"
[fields.hour]
kind = "categorical"
""")
CONFIG = Config(fit=Step(epochs=3, l2_embedding=1e-4, count_classes=True))


class Killed(BaseException):
    """Of a fit."""


class Killing(Watcher):
    """Ends a fit in its second epoch."""

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == 2:
            raise Killed


def log_of(rows: int) -> Log:
    """Queries and ads of long tails."""
    rng = np.random.default_rng(1)
    columns: dict[str, Any] = {
        "query": [f"q{n}" for n in rng.zipf(1.25, rows) % 2000],
        "ad": [f"a{n}" for n in rng.zipf(1.2, rows) % 2000],
        "hour": [n % 24 for n in range(rows)],
    }
    return Log(columns, (rng.random(rows) < 0.3).astype(np.float32))


def fitted(out: Path, config: Config = CONFIG, **settings: Any) -> Bundle:
    """All rows are both trained on and held out."""
    log = log_of(1500)
    watcher = settings.pop("watcher", Watcher())
    fit(log, log, None, SCHEMA, config, out, 1, watcher, **settings)
    return Bundle.open(out)


def logits(bundle: Bundle) -> Any:
    log = log_of(1500)
    encoded = bundle.read_encoder().encode_columns(log.columns, len(log.labels))
    return bundle.read_scorer().predict(encoded).logits


def test_a_bundle_is_gone_on_with_from_the_scores_that_it_had(tmp_path: Path) -> None:
    old = fitted(tmp_path / "old")
    of_fit = old.manifest.training["config"]["fit"]
    assert of_fit["count_classes"] is True
    size = FOLDED * CONFIG.of_classed_ffm(len(SCHEMA.fields))
    assert old.manifest.dimensions.embedding == size
    start = WarmStart.open(old.directory)
    still = start.config().model_copy(update={"fit": Step(epochs=0)})
    new = fitted(tmp_path / "new", still, start=start)
    assert np.array_equal(logits(new), logits(old))


def test_a_fit_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = fitted(tmp_path / "whole")
    with pytest.raises(Killed):
        fitted(tmp_path / "cut", watcher=Killing(), checkpointing=CheckpointOptions(seconds=0))
    assert (tmp_path / "cut.checkpoint").exists()
    resumed = fitted(tmp_path / "cut", checkpointing=CheckpointOptions(resume=True))
    weights = [(bundle.directory / WEIGHTS).read_bytes() for bundle in (whole, resumed)]
    assert weights[0] == weights[1]
