"""A small ad log for task ranking, in which the rows of a visit lie one behind the other."""

from typing import Any

import numpy as np

from tiny import TINY_SCHEMA, tiny_rows

RANKING = f'task = "ranking"\ngroup = "visit"\n{TINY_SCHEMA}'
MOST = 11  # rows of a visit


def ranked_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows in visits of 1 to MOST rows, whose names stand in no order."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, MOST + 1, count)
    names = rng.permutation(count)
    visits = np.repeat(names, sizes)[:count]
    return [
        row | {"visit": f"v{visit}"}
        for row, visit in zip(tiny_rows(count, seed), visits.tolist(), strict=True)
    ]
