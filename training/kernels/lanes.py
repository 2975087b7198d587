"""Loops over lanes: LANES rows of a batch lie side by side, so that one operation is done for all.

Arrays end with the axis of the lanes: x [F, K, lanes]; those of a group of pairs are WIDTH long,
with the lanes of one pair behind those of another. Sums over k have eight terms written out, since
one store then serves eight multiplications; whoever calls pads K to a multiple of UNROLLED with
zeros. Numbers are made by `dtype.type`, as a plain 0 would make float64 of what it meets. What is
done to a slice is a function of its own: a slice that has a name is counted when it is made and
when it is dropped, and that costs more than a loop over it.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.kernels.compiled import GROUP, LANES, WIDTH, compiled, fetch_ahead

Floats = NDArray[Any]  # float32; float64 where gradients are checked

UNROLLED = 8
AHEAD = 12  # rows: how long before its turn a table's row is fetched
LOG2_E, LN_2 = math.log2(math.e), math.log(2)
LOW_FLOAT32, LOW_FLOAT64 = -87.0, -700.0  # below them e**x is as good as 0
# 1 / n! of Taylor's series, the highest first; the 13th term of |r| <= ln 2 / 2 is below 1e-16
TERMS = tuple(1 / math.factorial(n) for n in range(12, -1, -1))


@compiled
def set_products(out: Floats, start: float, weights: Floats, x: Floats) -> None:
    """out[lane] = start + sum_k weights[k] x[k, lane], WIDTH lanes."""
    for k in range(0, len(weights), UNROLLED):
        a, b, c, d = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        e, f, g, h = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
        for lane in range(WIDTH):
            out[lane] = (start if k == 0 else out[lane]) + (
                a * x[k, lane]
                + b * x[k + 1, lane]
                + c * x[k + 2, lane]
                + d * x[k + 3, lane]
                + e * x[k + 4, lane]
                + f * x[k + 5, lane]
                + g * x[k + 6, lane]
                + h * x[k + 7, lane]
            )


@compiled
def rectified(x: float, zero: float) -> float:
    """ReLU, NaN being none."""
    return x if x > zero else zero


@compiled
def set_rectified_products(out: Floats, weights: Floats, x: Floats) -> None:
    """out[lane] = sum_t weights[t] ReLU(x[t, lane]), WIDTH lanes."""
    zero = x.dtype.type(0)
    for lane in range(WIDTH):
        out[lane] = zero
    for t in range(0, len(weights), UNROLLED):
        a, b, c, d = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
        e, f, g, h = weights[t + 4], weights[t + 5], weights[t + 6], weights[t + 7]
        for lane in range(WIDTH):
            out[lane] += (
                a * rectified(x[t, lane], zero)
                + b * rectified(x[t + 1, lane], zero)
                + c * rectified(x[t + 2, lane], zero)
                + d * rectified(x[t + 3, lane], zero)
                + e * rectified(x[t + 4, lane], zero)
                + f * rectified(x[t + 5, lane], zero)
                + g * rectified(x[t + 6, lane], zero)
                + h * rectified(x[t + 7, lane], zero)
            )


@compiled
def add_sums(out: Floats, y: Floats, x: Floats) -> None:
    """out[k] += sum_lane y[lane] x[k, lane], WIDTH lanes."""
    zero = x.dtype.type(0)
    for k in range(0, len(out), UNROLLED):
        a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
        for lane in range(WIDTH):
            v = y[lane]
            a += v * x[k, lane]
            b += v * x[k + 1, lane]
            c += v * x[k + 2, lane]
            d += v * x[k + 3, lane]
            e += v * x[k + 4, lane]
            f += v * x[k + 5, lane]
            g += v * x[k + 6, lane]
            h += v * x[k + 7, lane]
        out[k] += a
        out[k + 1] += b
        out[k + 2] += c
        out[k + 3] += d
        out[k + 4] += e
        out[k + 5] += f
        out[k + 6] += g
        out[k + 7] += h


@compiled
def multiply(out: Floats, x: Floats, y: Floats, at: int) -> None:
    """out[k, at + lane] = x[k, lane] y[k, lane], LANES lanes."""
    for k in range(len(out)):
        set_product(out[k, at : at + LANES], x[k], y[k])


@compiled
def set_product(out: Floats, x: Floats, y: Floats) -> None:
    """out[lane] = x[lane] y[lane], LANES lanes."""
    for lane in range(LANES):
        out[lane] = x[lane] * y[lane]


@compiled
def multiply_by(out: Floats, x: Floats) -> None:
    """out[k, lane] *= x[k, lane], WIDTH lanes."""
    for k in range(len(out)):
        for lane in range(WIDTH):
            out[k, lane] *= x[k, lane]


@compiled
def add_back(de: Floats, at: int, x: Floats, y: Floats, dx: Floats, dy: Floats) -> None:
    """The slopes by x and y [K, lanes] of `multiply`'s, added up."""
    for k in range(len(de)):
        add_slopes(de[k, at : at + LANES], x[k], y[k], dx[k], dy[k])


@compiled
def add_slopes(slope: Floats, x: Floats, y: Floats, dx: Floats, dy: Floats) -> None:
    """The slopes by x and y of a product with this slope, added up, LANES lanes."""
    for lane in range(LANES):
        dx[lane] += slope[lane] * y[lane]
        dy[lane] += slope[lane] * x[lane]


@compiled
def exponentials(x: Floats, power: Floats, bits: NDArray[Any]) -> None:
    """x[lane] = e**x[lane] of x <= 0, in place, LANES lanes: 2**n e**r with |r| <= ln 2 / 2, as
    Numba's own is a call a number. `bits` are whole numbers over the memory of `power` [lanes].
    """
    mantissa = bits.dtype.type(23 if x.itemsize == 4 else 52)
    middle = bits.dtype.type(127 if x.itemsize == 4 else 1023)
    low = x.dtype.type(LOW_FLOAT32 if x.itemsize == 4 else LOW_FLOAT64)
    log2_e, ln_2, half = x.dtype.type(LOG2_E), x.dtype.type(LN_2), x.dtype.type(0.5)
    for lane in range(LANES):
        y = x[lane] if x[lane] > low else low
        n = np.floor(y * log2_e + half)
        bits[lane] = (bits.dtype.type(n) + middle) << mantissa
        x[lane] = y - n * ln_2
    for lane in range(LANES):
        r = x[lane]
        total = x.dtype.type(TERMS[0])
        for term in TERMS[1:]:
            total = total * r + x.dtype.type(term)
        x[lane] = total * power[lane]


@compiled
def load(
    x: Floats,
    present: Floats,
    ids: NDArray[np.int64],
    values: Floats,
    embedding: Floats,
    linear: Floats,
    start: int,
    rows: int,
    width: int,
) -> None:
    """x [F M, K, lanes] = v_i x_i of `rows` rows from `start` on, each table row M vectors of
    `width`; present [F, lanes] = 1 where x_i is not 0. Lanes without a row hold zeros. The rows of
    `linear` are only fetched, for `settle_row`.
    """
    slots = len(present)
    vectors = len(x) // slots
    x[:] = 0
    present[:] = 0
    for slot in range(slots):  # its vectors stay in the nearest cache while lanes are filled
        for lane in range(rows):
            value = values[start + lane, slot]
            of_slot, later = slot, lane + AHEAD
            if later >= rows:
                of_slot, later = slot + 1, later - rows
            if of_slot < slots and later < rows:
                fetch_ahead(embedding, ids[start + later, of_slot])
                fetch_ahead(linear, ids[start + later, of_slot])
            if value != 0:
                present[slot, lane] = 1
                row = ids[start + lane, slot]
                for vector in range(vectors):
                    for k in range(width):
                        part = embedding[row, vector * width + k]
                        x[slot * vectors + vector, k, lane] = part * value


@compiled
def store(out: Floats, dx: Floats, values: Floats, start: int, rows: int, width: int) -> None:
    """out [B, F, M width] = dx [F M, K, lanes] times x_i: the slopes of the table's rows."""
    slots = values.shape[1]
    vectors = len(dx) // slots
    for slot in range(slots):
        for lane in range(rows):
            value = values[start + lane, slot]
            for vector in range(vectors):
                for k in range(width):
                    slope = dx[slot * vectors + vector, k, lane] * value
                    out[start + lane, slot, vector * width + k] = slope


@compiled
def find_pairs(
    out: NDArray[np.int64], present: Floats, first: NDArray[np.int64], second: NDArray[np.int64]
) -> int:
    """Into `out` the pairs of slots that are in some lane's R; returns how many."""
    used = np.zeros(len(present), np.bool_)
    for slot in range(len(present)):
        for lane in range(LANES):
            if present[slot, lane] > 0:
                used[slot] = True
    count = 0
    for pair in range(len(first)):
        if used[first[pair]] and used[second[pair]]:
            out[count] = pair
            count += 1
    return count


@compiled
def seed_lanes(state: NDArray[np.uint32], seed: int, start: int) -> None:
    """A state of random numbers for each lane, by the number of its row: the same ones for the
    pass back, and on any number of threads (Steele et al., OOPSLA 2014: splitmix).
    """
    for pair in range(GROUP):
        for lane in range(LANES):
            z = np.uint64((start + lane) * GROUP + pair + 1) * np.uint64(0x9E3779B97F4A7C15)
            z += np.uint64(seed)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state[pair * LANES + lane] = np.uint32((z >> np.uint64(32)) | np.uint64(1))


@compiled
def draw_kept(kept: Floats, state: NDArray[np.uint32], threshold: int) -> None:
    """kept[k, lane] = 0 with probability `threshold` / 256, else what makes up for it, WIDTH lanes
    (Marsaglia, 2003: xorshift), a byte an element.
    """
    zero = kept.dtype.type(0)
    scale = kept.dtype.type(256 / (256 - threshold))
    least, byte = np.uint32(threshold), np.uint32(255)
    for k in range(0, len(kept), 4):
        for lane in range(WIDTH):
            # each step is cut to 32 bits, as Numba's are of 64
            s = state[lane]
            s = np.uint32(s ^ np.uint32(s << np.uint32(13)))
            s = np.uint32(s ^ (s >> np.uint32(17)))
            s = np.uint32(s ^ np.uint32(s << np.uint32(5)))
            state[lane] = s
            kept[k, lane] = scale if np.uint32(s & byte) >= least else zero
            kept[k + 1, lane] = scale if np.uint32((s >> np.uint32(8)) & byte) >= least else zero
            kept[k + 2, lane] = scale if np.uint32((s >> np.uint32(16)) & byte) >= least else zero
            kept[k + 3, lane] = scale if np.uint32(s >> np.uint32(24)) >= least else zero
