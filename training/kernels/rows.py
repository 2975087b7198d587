"""Sums over the rows of a table that a batch uses, and updates of only these rows: what they cost
does not depend on the table's size.
"""

import math

import numpy as np
from numpy.typing import NDArray

from training.kernels.compiled import compiled, fetch_ahead
from training.kernels.lanes import AHEAD, Floats

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: Fibonacci hashing (Knuth, 6.4)


@compiled
def add_rows(ids: NDArray[np.int64], slopes: Floats, out: Floats) -> None:
    """out[ids[n]] += slopes[n], in the order of n."""
    for n in range(len(ids)):
        row = out[ids[n]]
        for k in range(len(row)):
            row[k] += slopes[n, k]


@compiled
def add_to(total: Floats, more: Floats) -> None:
    """total += more."""
    for k in range(len(total)):
        total[k] += more[k]


@compiled
def first_uses(
    ids: NDArray[np.int64],
    firsts: NDArray[np.int32],
    first_of: NDArray[np.int32],
    part: int,
    parts: int,
) -> int:
    """Into `firsts` where in `ids` each distinct id of one of `parts` by hash comes first, in this
    order, and into `first_of` [n] where that of ids[n] is, -1 for those of other parts; returns how
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
        middle = (mixed >> np.uint64(16)) & np.uint64(0xFFFF)
        if np.int64((middle * np.uint64(parts)) >> np.uint64(16)) != part:
            first_of[n] = -1
            continue
        at = np.int64(mixed >> np.uint64(64 - bits))
        while taken[at] >= 0 and ids[taken[at]] != ids[n]:
            at = (at + 1) & last
        if taken[at] < 0:
            taken[at] = n
            firsts[count] = n
            count += 1
        first_of[n] = taken[at]
    return count


@compiled
def add_to_first(first_of: NDArray[np.int32], slopes: Floats) -> None:
    """slopes[first] += slopes[n] of each later use n of the same row, in the order of n."""
    for n in range(len(first_of)):
        first = first_of[n]
        if first >= 0 and first != n:
            add_to(slopes[first], slopes[n])  # not written out: see lanes


@compiled
def any_other_than_zero(row: Floats) -> bool:
    """Whether there is one."""
    found = False
    for k in range(len(row)):
        found |= row[k] != 0
    return found


@compiled
def move_row(
    weights: Floats,
    means: Floats,
    squares: Floats,
    slope: Floats,
    decay: float,
    keeping: tuple[float, float, float, float],
    moving: tuple[float, float, float],
) -> None:
    """A step of Adam of one row, with what `adam_rows` made of its settings."""
    keep_mean, take_mean, keep_square, take_square = keeping
    size, scale, least = moving
    for k in range(len(weights)):
        g = slope[k] + decay * weights[k]
        means[k] = keep_mean * means[k] + take_mean * g
        squares[k] = keep_square * squares[k] + take_square * g * g
        weights[k] -= size * means[k] / (np.sqrt(squares[k]) * scale + least)


@compiled
def adam_rows(
    ids: NDArray[np.int64],
    firsts: NDArray[np.int32],
    first_of: NDArray[np.int32],
    slopes: Floats,
    table: Floats,
    beside: Floats,
    decays: Floats,
    rate: float,
    betas: tuple[float, float],
    epsilon: float,
    step: float,
) -> None:
    """One step of Adam, in place, of the rows that are used first at `firsts`, with the sum of each
    row's slopes, which come [n, K] by use, and are summed in place. A row whose sum is 0 was not
    used. `beside` [V, 2 K or more]: the means and then the squares of a row's slopes. `decays` [V]
    times a row is added to its slopes; `step` counts from 1.
    """
    number, width = table.dtype.type, table.shape[1]
    add_to_first(first_of, slopes)
    keep_mean, keep_square = number(betas[0]), number(betas[1])
    take_mean, take_square = number(1 - betas[0]), number(1 - betas[1])
    size = number(rate / (1 - betas[0] ** step))
    scale, least = number(1 / math.sqrt(1 - betas[1] ** step)), number(epsilon)
    for place in range(len(firsts)):
        if place + AHEAD < len(firsts):
            later = ids[firsts[place + AHEAD]]
            fetch_ahead(table, later)
            fetch_ahead(beside, later)
            fetch_ahead(beside[:, width:], later)
            fetch_ahead(decays, later)
        n = firsts[place]
        row = ids[n]
        if not any_other_than_zero(slopes[n]):
            continue
        decay = decays[row]
        if width == 1:  # a loop costs more than what is done in it
            g = slopes[n, 0] + decay * table[row, 0]
            beside[row, 0] = keep_mean * beside[row, 0] + take_mean * g
            beside[row, 1] = keep_square * beside[row, 1] + take_square * g * g
            table[row, 0] -= size * beside[row, 0] / (np.sqrt(beside[row, 1]) * scale + least)
            continue
        move_row(
            table[row],
            beside[row, :width],
            beside[row, width:],
            slopes[n],
            decay,
            (keep_mean, take_mean, keep_square, take_square),
            (size, scale, least),
        )
