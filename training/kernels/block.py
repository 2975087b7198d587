"""A block: LANES rows of a batch with all that is computed of them, and what kernels share."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from training.kernels.batch import Batch, Tables
from training.kernels.compiled import GROUP, LANES, WIDTH, compiled
from training.kernels.lanes import (
    Floats,
    add_back,
    draw_kept,
    find_pairs,
    load,
    multiply,
    multiply_by,
    seed_lanes,
)


class Pairs(NamedTuple):
    """Of each of P pairs, int64 [P]: its slots, the vectors of x that meet, its field pair. `size`:
    K.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    field_pair: NDArray[np.int64]
    size: int


class Work(NamedTuple):
    """What a block is worked on in. By vectors: x and dx [F M, K, lanes]; 1 or 0 `present`
    [F, lanes]; by the group of pairs: e, its slopes and dropout [K, WIDTH], z [T, WIDTH]; by the
    pairs found in the block: their numbers, scores and products [P, lanes]; numbers by lane.
    """

    x: Floats
    dx: Floats
    present: Floats
    e: Floats
    de: Floats
    kept: Floats
    z: Floats
    pairs: NDArray[np.int64]
    score: Floats
    product: Floats
    state: NDArray[np.uint32]
    d_score: Floats
    d_product: Floats
    top: Floats
    members: Floats
    total: Floats
    mean: Floats
    slopes: Floats
    power: Floats
    bits: NDArray[Any]  # whole numbers over the memory of `power`


def new_work(
    slots: int, vectors: int, pairs: int, size: int, hidden: int, dtype: np.dtype[Any]
) -> Work:
    """For F `slots` of M `vectors` each, P `pairs`, and K and T, padded. Of torch's memory, which
    begins where a vector register's does.
    """
    rows = -(-pairs // GROUP) * GROUP

    def floats(*shape: int) -> Floats:
        return torch.zeros(shape, dtype=getattr(torch, dtype.name)).numpy()

    power = floats(LANES)
    return Work(
        floats(slots * vectors, size, LANES),
        floats(slots * vectors, size, LANES),
        floats(slots, LANES),
        floats(size, WIDTH),
        floats(size, WIDTH),
        floats(size, WIDTH),
        floats(hidden, WIDTH),
        np.zeros(rows, np.int64),
        floats(rows, LANES),
        floats(rows, LANES),
        np.zeros(WIDTH, np.uint32),
        floats(WIDTH),
        floats(WIDTH),
        floats(LANES),
        floats(LANES),
        floats(LANES),
        floats(LANES),
        floats(LANES),
        power,
        power.view(np.int32 if power.itemsize == 4 else np.int64),
    )


@compiled
def begin_block(
    work: Work, batch: Batch, tables: Tables, pairs: Pairs, block: int
) -> tuple[int, int, int]:
    """Load the block's rows; returns its first row, and how many rows and pairs it has."""
    start = block * LANES
    rows = min(LANES, len(batch.labels) - start)
    x, present = work.x, work.present
    table, linear = tables.embedding, tables.linear
    load(x, present, batch.ids, batch.values, table, linear, start, rows, pairs.size)
    seed_lanes(work.state, batch.seed, start)
    return start, rows, find_pairs(work.pairs, present, pairs.first, pairs.second)


@compiled
def pair_vectors(work: Work, batch: Batch, pairs: Pairs, at: int, count: int) -> None:
    """e_ij of the group of pairs that begins `at`, with what dropout leaves of it; zeros behind the
    last of `count`.
    """
    for g in range(GROUP):
        if at + g < count:
            pair = work.pairs[at + g]
            multiply(work.e, work.x[pairs.left[pair]], work.x[pairs.right[pair]], g * LANES)
        else:
            work.e[:, g * LANES : (g + 1) * LANES] = 0
    if batch.threshold:
        draw_kept(work.kept, work.state, batch.threshold)
        multiply_by(work.e, work.kept)


@compiled
def slope_vectors(work: Work, batch: Batch, pairs: Pairs, at: int, count: int) -> None:
    """From the slopes by e_ij of the group that begins `at` to those by x."""
    if batch.threshold:
        multiply_by(work.de, work.kept)
    for n in range(at, min(at + GROUP, count)):
        left, right = pairs.left[work.pairs[n]], pairs.right[work.pairs[n]]
        place = (n - at) * LANES
        add_back(work.de, place, work.x[left], work.x[right], work.dx[left], work.dx[right])
