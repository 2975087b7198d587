"""The one order of the P = F(F-1)/2 pairs of slots, in the graphs and in explanations alike.

>>> first, second = pair_slots(3)
>>> first.tolist(), second.tolist()
([0, 0, 1], [1, 2, 2])
"""

import numpy as np
from numpy.typing import NDArray


def pair_slots(slots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and second slot of each pair, two int64 [P]: (0, 1), (0, 2) .. (F-2, F-1)."""
    first, second = np.triu_indices(slots, k=1)
    return first.astype(np.int64), second.astype(np.int64)
