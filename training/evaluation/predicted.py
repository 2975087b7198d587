"""What a bundle's graphs answer encoded rows with, some rows at a time.

scores = predicted(bundle.read_scorer(), encoded_rows(bundle.read_encoder(), log, "click"))
"""

import numpy as np
from numpy.typing import NDArray

from model.scorer import Scorer
from training.data.examples import AT_ONCE, EncodedRows


def predicted(scorer: Scorer, rows: EncodedRows) -> NDArray[np.float32]:
    """The predictions of rows [N], to the bit those of all rows at once: each run has the same."""
    runs = max(AT_ONCE // scorer.slice_rows, 1)
    parts = (scorer.predict(some).predictions for some in rows.encoded(runs * scorer.slice_rows))
    return np.concatenate([np.empty(0, np.float32), *parts])
