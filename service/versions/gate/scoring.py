"""Labelled rows scored by a bundle as requests are, and resampled for the gate."""

import numpy as np
from numpy.typing import NDArray

from model.bundle.bundle import Bundle
from model.bundle.labelled_rows import LabelledRows
from model.bundle.opened import OpenedBundle
from model.metrics.bootstrap import Resampled, resample
from model.metrics.metrics import JUDGED_BY

RESAMPLES = 500
SEED = 1
SKEW = 1e-3  # of a figure that a bundle's manifest names, scored again on the same rows


def resampled(opened: OpenedBundle, rows: LabelledRows) -> Resampled:
    """The figures of labelled rows, scored by a bundle, and of their resamples.

    Raises:
        InputError: a row that the bundle cannot read.
    """
    predictions: NDArray[np.float32] = opened.scorer.predict(
        opened.encoder.encode(rows.rows)
    ).predictions
    return resample(
        rows.labels,
        predictions,
        rows.weights,
        rows.group,
        task=opened.bundle.manifest.task,
        resamples=RESAMPLES,
        seed=SEED,
    )


def skew(bundle: Bundle, scored: Resampled, rows: int) -> str | None:
    """What is wrong where the bundle's `rows` held-out rows score otherwise than its trainer
    measured them; None where they agree, or are a sample of those.
    """
    measured = bundle.manifest.metrics.get("valid", {})
    if measured.get("rows") != rows:
        return None  # they are a sample
    # the level by itself as well: scores that are all higher can have the loss that they had
    for name in (JUDGED_BY[bundle.manifest.task], "calibration_ratio"):
        then, now = measured.get(name), scored.whole[name]
        if then is not None and not np.isnan(now) and abs(now - then) > SKEW * max(abs(then), 1):
            return (
                f"it does not score as it was measured: {name} {now:.5f} on its held-out rows, its "
                f"manifest says {then:.5f}"
            )
    return None
