"""Labelled rows scored by a bundle as requests are, and resampled for the gate."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.bundle.bundle import Bundle
from model.bundle.labelled_rows import LabelledRows
from model.encoding import Encoder
from model.metrics.bootstrap import Resampled, resample
from model.metrics.metrics import JUDGED_BY
from model.scorer import Scorer

RESAMPLES = 500
SEED = 1
SKEW = 1e-3  # of a figure that a bundle's manifest names, scored anew on the same rows


class Opened:
    """A bundle whose vocabularies are parsed and whose graphs are loaded once."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @cached_property
    def _encoder(self) -> Encoder:
        return self.bundle.encoder()

    @cached_property
    def _scorer(self) -> Scorer:
        return self.bundle.scorer()

    def resampled(self, rows: LabelledRows) -> Resampled:
        """The figures of these rows.

        Raises:
            InputError: a row that the bundle cannot read.
        """
        predictions: NDArray[np.float32] = self._scorer.predict(
            self._encoder.encode(rows.rows)
        ).predictions
        return resample(
            rows.labels,
            predictions,
            rows.weights,
            rows.group,
            task=self.bundle.manifest.task,
            resamples=RESAMPLES,
            seed=SEED,
        )


def skew(bundle: Bundle, scored: Resampled, rows: int) -> str | None:
    """What is wrong where the bundle's `rows` held-out rows score otherwise than its trainer
    measured them; None where they agree, or are a sample of those.
    """
    measured = bundle.manifest.metrics.get("valid", {})
    name = JUDGED_BY[bundle.manifest.task]
    then, now = measured.get(name), scored.whole[name]
    if measured.get("rows") != rows or then is None or np.isnan(now):
        return None  # they are a sample
    if abs(now - then) <= SKEW * max(abs(then), 1):
        return None
    return (
        f"it does not score as it was measured: {name} {now:.5f} on its held-out rows, its "
        f"manifest says {then:.5f}"
    )
