"""A fitted net, with what it gives the rows that judge it, and what a row of it costs."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle.bundle import Bundle
from model.encoding import Encoded, Slate
from model.metrics.bootstrap import Resampled, intervals, resample
from model.schema import Schema
from model.scorer import Scorer
from training.config import Config
from training.data.log import Log, encode
from training.fit.fit import fit
from training.fit.step.watcher import Watcher

ADS = 50


class Fitted:
    """A bundle with what it gives the rows that judge it."""

    def __init__(
        self,
        home: Path,
        log: Log,
        valid: Log | None,
        test: Log,
        schema: Schema,
        config: Config,
        seed: int,
    ) -> None:
        began = time.process_time()  # of one thread, so that other work on the machine counts not
        fit(log, valid, None, schema, config, home / "bundle", seed, Watcher())
        self.seconds = time.process_time() - began
        self.bundle = Bundle.open(home / "bundle")
        self.scorer = self.bundle.read_scorer()
        self.encoder = self.bundle.read_encoder()
        self.encoded = encode(self.encoder, test)
        predictions = self.scorer.predict(self.encoded).predictions
        self.resampled: Resampled = resample(
            test.labels, predictions, test.weights, test.group, task=schema.task
        )
        self.row_seconds = seconds_a_row(self.scorer, self.encoded, schema)
        shutil.rmtree(home / "bundle")

    def __getitem__(self, name: str) -> float:
        return self.resampled.whole[name]

    @property
    def calibration(self) -> str:
        """The calibration ratio with its interval."""
        interval = intervals(self.resampled)["calibration_ratio"]
        shown = "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        return f"{self['calibration_ratio']:.3f} ({shown})"


def seconds_a_row(scorer: Scorer, rows: Encoded, schema: Schema) -> float:
    """Of one context with ADS ads, their own parts known, or of as many whole rows where the schema
    names no ads; the fastest of many runs.
    """
    of_ads = np.array(schema.candidate_slots)
    score: Any = scorer.predict_plainly
    some: Any = rows.slice(0, ADS)
    if scorer.has_rank:
        context, ads = (
            Encoded(
                np.ascontiguousarray(rows.ids[:count, side]),
                np.ascontiguousarray(rows.values[:count, side]),
            )
            for count, side in ((1, ~of_ads), (ADS, of_ads))
        )
        score, some = scorer.rank, Slate(context, ads, scorer.ad_partials(ads))
    took = []
    for _ in range(200):
        began = time.perf_counter()
        score(some)
        took.append(time.perf_counter() - began)
    return min(took) / ADS


def fitted(*arguments: Any) -> Fitted:
    """In a scratch directory."""
    with tempfile.TemporaryDirectory() as home:
        return Fitted(Path(home), *arguments)
