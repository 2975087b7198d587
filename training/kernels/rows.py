"""Sums over the rows of a table that a batch uses, and updates of only these rows: what they cost
does not depend on the table's size.
"""

import math

import numpy as np
from numpy.typing import NDArray

from training.kernels.compiled import compiled
from training.kernels.lanes import Floats

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: Fibonacci hashing (Knuth, 6.4)


@compiled
def add_rows(ids: NDArray[np.int64], slopes: Floats, out: Floats) -> None:
    """out[ids[n]] += slopes[n], in the order of n."""
    for n in range(len(ids)):
        row = out[ids[n]]
        for k in range(len(row)):
            row[k] += slopes[n, k]


@compiled
def places_of(
    ids: NDArray[np.int64],
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
    part: int,
    parts: int,
) -> int:
    """Into `rows` the distinct ids of one of `parts` by hash, in the order of their first use, and
    into `places` [n] where among them each id stands, -1 for those of other parts; returns how
    many. A hash table, as one of the size of the ids' own table would miss every cache.
    """
    bits = 4
    while (1 << bits) < 2 * len(ids):
        bits += 1
    taken = np.full(1 << bits, -1, np.int32)
    last = (1 << bits) - 1
    count = 0
    for n in range(len(ids)):
        mixed = np.uint64(ids[n]) * np.uint64(GOLDEN)
        if np.int64((mixed >> np.uint64(16)) & np.uint64(0xFFFF)) % parts != part:
            places[n] = -1
            continue
        at = np.int64(mixed >> np.uint64(64 - bits))
        while taken[at] >= 0 and rows[taken[at]] != ids[n]:
            at = (at + 1) & last
        if taken[at] < 0:
            taken[at] = count
            rows[count] = ids[n]
            count += 1
        places[n] = taken[at]
    return count


@compiled
def adam_rows(
    ids: NDArray[np.int64],
    slopes: Floats,
    table: Floats,
    mean: Floats,
    square: Floats,
    decays: Floats,
    rate: float,
    betas: tuple[float, float],
    epsilon: float,
    step: float,
    part: int,
    parts: int,
) -> None:
    """One step of Adam, in place, of the rows of one part, with the sum of each row's slopes, which
    come [n, K] by use. A row whose sum is 0 was not used. `decays` [V] times a row is added to its
    slopes; `step` counts from 1.
    """
    number = table.dtype.type
    rows, places = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    count = places_of(ids, rows, places, part, parts)
    width = table.shape[1]
    sums = np.zeros((count, width), table.dtype)
    for n in range(len(ids)):
        if places[n] >= 0:
            total = sums[places[n]]
            for k in range(width):
                total[k] += slopes[n, k]
    keep_mean, keep_square = number(betas[0]), number(betas[1])
    take_mean, take_square = number(1 - betas[0]), number(1 - betas[1])
    size = number(rate / (1 - betas[0] ** step))
    scale, least = number(1 / math.sqrt(1 - betas[1] ** step)), number(epsilon)
    for place in range(count):
        slope, row = sums[place], rows[place]
        used = False
        for k in range(width):
            used |= slope[k] != 0
        if not used:
            continue
        weights, means, squares, decay = table[row], mean[row], square[row], decays[row]
        for k in range(width):
            g = slope[k] + decay * weights[k]
            means[k] = keep_mean * means[k] + take_mean * g
            squares[k] = keep_square * squares[k] + take_square * g * g
            weights[k] -= size * means[k] / (np.sqrt(squares[k]) * scale + least)
