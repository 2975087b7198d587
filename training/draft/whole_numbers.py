"""Whether whole numbers name something or count something: half-way between two ids is nothing.

The label separates them where it can: click rates by amount follow its order, those by id do not.
"""

import numpy as np

from model.metrics.ranked_rows import Floats, Ints

ROWS_PER_VALUE = 8  # fewer on average, and the numbers hardly come again
BINS = 32  # in the order of the numbers
COARSE = 8
SHUFFLES = 200
ORDERED = 0.01  # of shuffled orders, that explain as much as the true one by luck
CLEAR = 4.0  # standard deviations
SPARSE = 1000.0  # times as wide as it has values, a range of ids has gaps that amounts have not
SEED = 20_262


def repeated_ids(numbers: Floats, y: Floats) -> str | None:
    """Why whole numbers [B] with 0/1 labels [B] are taken for ids; None where they are amounts."""
    numbers, y = _without_spike(numbers, y)
    values, codes, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    if len(numbers) < ROWS_PER_VALUE * len(values):
        return _sparse(values, counts)
    clicks = np.bincount(codes, y, len(values)).astype(np.float64)
    by_order, beside = _explained(counts, clicks, float(y.mean()))
    seen = f"{len(values)} whole numbers, each in {len(numbers) // len(values)} rows on average"
    if beside > max(by_order, 0.0):
        return f"{seen}, and click rates that differ without following their order"
    if _follows_order(counts, clicks, float(y.mean())) or _is_smooth(counts):
        return None
    return f"{seen}, and no order in the label"


def _without_spike(numbers: Floats, y: Floats) -> tuple[Floats, Floats]:
    # less the number that most rows have, a counter's 0 say: it would make all others seem to come
    # again often, and leave them few of the bins
    values, counts = np.unique(numbers, return_counts=True)
    rest = numbers != values[counts.argmax()]
    if len(values) < 3 or 2 * counts.max() < len(numbers) or len(set(y[rest].tolist())) < 2:
        return numbers, y
    return numbers[rest], y[rest]


def _sparse(values: Floats, counts: Ints) -> str | None:
    # numbers that come again though there is room for very many others, and that are not round
    again = counts[counts > 1].sum() / counts.sum()
    wide = values[-1] - values[0] > SPARSE * len(values)
    round_share = (values % 10 == 0).mean()
    if again > 0.5 and wide and round_share < 0.3 and not _is_tailed(values, counts):
        return f"{len(values)} whole numbers that come again in a range {SPARSE:g} times as wide"
    return None


def _is_tailed(values: Floats, counts: Ints) -> bool:
    # amounts crowd at their low end; ids are spread
    return bool(np.median(np.repeat(values, counts)) - values[0] < 0.1 * (values[-1] - values[0]))


def _explained(counts: Ints, clicks: Floats, mean: float) -> tuple[float, float]:
    # what of the differences between the values' click rates is clear: by BINS in their order, and
    # beside it; in chi-squares above their mean, 0 where luck would do
    spread = mean * (1 - mean)
    if not spread:
        return 0.0, 0.0
    whole = float(((clicks - counts * mean) ** 2 / counts).sum()) / spread
    rows, hits = _binned(counts, clicks, BINS)
    ordered = float(((hits - rows * mean) ** 2 / rows).sum()) / spread
    left = len(counts) - rows.size
    fourth = (1 - 6 * spread) / spread  # of few expected clicks, a chi-square varies more
    noise = np.sqrt(2 * left + max(fourth, 0.0) * (1 / counts).sum()) if left > 0 else np.inf
    beside = whole - ordered - left
    return ordered - (rows.size - 1), beside if beside > CLEAR * noise else 0.0


def _follows_order(counts: Ints, clicks: Floats, mean: float) -> bool:
    # whether bins of neighbours differ more than bins of values put in any order
    drawn = np.random.default_rng(SEED)
    orders = np.array([drawn.permutation(len(counts)) for _ in range(SHUFFLES)])
    orders = np.vstack([np.arange(len(counts)), orders])
    between = []
    for order in orders:
        rows, hits = _binned(counts[order], clicks[order], COARSE)
        between.append(float(((hits - rows * mean) ** 2 / rows).sum()))
    beaten = np.mean([one >= between[0] for one in between[1:]])
    return bool(beaten < ORDERED)


def _is_smooth(counts: Ints) -> bool:
    # whether neighbours are about as frequent, as amounts are and ids are not
    logs = np.log(counts)
    drawn = np.random.default_rng(SEED)
    steps = [float((np.diff(drawn.permutation(logs)) ** 2).sum()) for _ in range(SHUFFLES)]
    return bool(np.mean([one <= float((np.diff(logs) ** 2).sum()) for one in steps]) < ORDERED)


def _binned(counts: Ints, clicks: Floats, bins: int) -> tuple[Floats, Floats]:
    # rows and clicks of about `bins` bins of equal rows, a value in one of them whole
    middle = np.cumsum(counts) - counts / 2
    of_value = np.minimum((middle / counts.sum() * bins).astype(np.int64), bins - 1)
    rows = np.bincount(of_value, counts, bins).astype(np.float64)
    hits = np.bincount(of_value, clicks, bins).astype(np.float64)
    return rows[rows > 0], hits[rows > 0]
