"""AFM and afm+ (model/nets/afm.py, model/nets/afm_plus.py), forward and backward in one pass.

A block of lanes goes through all pairs twice: for the scores, and, once the softmax is known, for
the slopes. e_ij and z = W e_ij + b are computed again the second time, as keeping them would cost
more than the arithmetic: what is kept of a pair is its score and its product, a number a lane.
GROUP pairs are worked on at once.
"""

from typing import NamedTuple

import numpy as np

from training.kernels.batch import Batch, Found, Tables, settle_row
from training.kernels.block import Pairs, Work, begin_block, pair_vectors, slope_vectors
from training.kernels.compiled import GROUP, LANES, WIDTH, compiled
from training.kernels.lanes import (
    Floats,
    add_sums,
    exponentials,
    rectified,
    seed_lanes,
    set_products,
    set_rectified_products,
    store,
)

LOWEST = -1e30  # as in model/nets/afm.py
LEAST = 1e-30


class Attention(NamedTuple):
    """W [T, K], b and h [T], p [K], padded with zeros; r and u [field pairs]. Or slopes by them,
    with an axis of blocks before.
    """

    weight: Floats
    bias: Floats
    h: Floats
    p: Floats
    field_weights: Floats
    field_scores: Floats


@compiled
def score_pairs(work: Work, batch: Batch, net: Attention, pairs: Pairs, count: int) -> None:
    """Score and product p . e of each pair, LOWEST where it is not in a lane's R; the highest score
    and |R| of each lane.
    """
    scores, products = work.score.reshape(-1, WIDTH), work.product.reshape(-1, WIDTH)
    zero, lowest = work.top.dtype.type(0), work.top.dtype.type(LOWEST)
    for at in range(0, count, GROUP):
        pair_vectors(work, batch, pairs, at, count)
        set_products(products[at // GROUP], zero, net.p, work.e)
        for t in range(len(net.h)):
            set_products(work.z[t], net.bias[t], net.weight[t], work.e)
        set_rectified_products(scores[at // GROUP], net.h, work.z)
        for n in range(at, min(at + GROUP, count)):
            pair = work.pairs[n]
            score, u = work.score[n], net.field_scores[pairs.field_pair[pair]]
            one, other = work.present[pairs.first[pair]], work.present[pairs.second[pair]]
            for lane in range(LANES):
                both = one[lane] * other[lane]
                score[lane] = score[lane] + u if both > zero else lowest
                work.members[lane] += both
                work.top[lane] = max(work.top[lane], score[lane])


@compiled
def softmax(work: Work, net: Attention, pairs: Pairs, count: int) -> None:
    """Scores become attention, in place, and `mean` the mean of r times the products by it."""
    zero, one, lowest = work.top.dtype.type(0), work.top.dtype.type(1), work.top.dtype.type(LOWEST)
    in_pair = work.slopes
    work.total[:] = 0
    work.mean[:] = 0
    for n in range(count):
        score, product = work.score[n], work.product[n]
        r = net.field_weights[pairs.field_pair[work.pairs[n]]]
        for lane in range(LANES):
            in_pair[lane] = one if score[lane] > lowest else zero
            score[lane] -= work.top[lane]
        exponentials(score, work.power, work.bits)
        for lane in range(LANES):
            score[lane] *= in_pair[lane]
            work.total[lane] += score[lane]
            work.mean[lane] += score[lane] * product[lane] * r
    for lane in range(LANES):
        work.total[lane] = one / max(work.total[lane], work.top.dtype.type(LEAST))
        work.mean[lane] *= work.total[lane]
    for n in range(count):
        score = work.score[n]
        for lane in range(LANES):
            score[lane] *= work.total[lane]


@compiled
def slope_scores(
    work: Work, net: Attention, pairs: Pairs, by_net: Attention, block: int, at: int, count: int
) -> None:
    """The slopes by score and product of the group that begins `at`, and those by r and u."""
    zero = work.top.dtype.type(0)
    for g in range(GROUP):
        n = at + g
        d_score = work.d_score[g * LANES : (g + 1) * LANES]
        d_product = work.d_product[g * LANES : (g + 1) * LANES]
        if n >= count:
            d_score[:] = 0
            d_product[:] = 0
            continue
        attention, product = work.score[n], work.product[n]
        field_pair = pairs.field_pair[work.pairs[n]]
        r = net.field_weights[field_pair]
        by_u, by_r = zero, zero
        for lane in range(LANES):
            share = work.slopes[lane] * attention[lane]
            d_score[lane] = share * (r * product[lane] - work.mean[lane])
            d_product[lane] = share * r
            by_u += d_score[lane]
            by_r += share * product[lane]
        by_net.field_scores[block, field_pair] += by_u
        by_net.field_weights[block, field_pair] += by_r


@compiled
def slope_network(
    work: Work, net: Attention, across: Floats, by_net: Attention, block: int
) -> None:
    """The slopes by e and by the attention network, from those by score and product. `across` is W
    transposed; z becomes its slopes.
    """
    zero = work.top.dtype.type(0)
    add_sums(by_net.p[block], work.d_product, work.e)
    for t in range(len(net.h)):
        hidden, h, by_h, by_bias = work.z[t], net.h[t], zero, zero
        set_products(hidden, net.bias[t], net.weight[t], work.e)
        for lane in range(WIDTH):
            by_h += work.d_score[lane] * rectified(hidden[lane], zero)
            slope = h * work.d_score[lane] if hidden[lane] > zero else zero
            hidden[lane] = slope
            by_bias += slope
        by_net.h[block, t] += by_h
        by_net.bias[block, t] += by_bias
        add_sums(by_net.weight[block, t], hidden, work.e)
    for k in range(len(net.p)):
        de, p = work.de[k], net.p[k]
        set_products(de, zero, across[k], work.z)
        for lane in range(WIDTH):
            de[lane] += p * work.d_product[lane]


@compiled
def slope_pairs(
    work: Work,
    batch: Batch,
    net: Attention,
    pairs: Pairs,
    by_net: Attention,
    block: int,
    count: int,
) -> None:
    """The slopes by x and by the parameters, of each lane's slope by its pair term."""
    across = np.ascontiguousarray(net.weight.T)
    work.dx[:] = 0
    for at in range(0, count, GROUP):
        slope_scores(work, net, pairs, by_net, block, at, count)
        pair_vectors(work, batch, pairs, at, count)
        slope_network(work, net, across, by_net, block)
        slope_vectors(work, batch, pairs, at, count)


@compiled
def attention_blocks(
    first: int,
    last: int,
    work: Work,
    batch: Batch,
    tables: Tables,
    net: Attention,
    pairs: Pairs,
    found: Found,
    by_net: Attention,
    times_pairs: bool,
) -> None:
    """Scores and slopes of the rows of the blocks from `first` to before `last`. `times_pairs`:
    whether pair terms are multiplied by |R|, as in afm+."""
    for block in range(first, last):
        start, rows, count = begin_block(work, batch, tables, pairs, block)
        work.top[:] = LOWEST
        work.members[:] = 0
        score_pairs(work, batch, net, pairs, count)
        softmax(work, net, pairs, count)
        work.slopes[:] = 0
        for lane in range(rows):
            times = work.members[lane] if times_pairs else 1.0
            pair_term = times * work.mean[lane]
            by_score = settle_row(batch, tables, found, block, start + lane, pair_term)
            work.slopes[lane] = by_score * times
        if batch.back:
            seed_lanes(work.state, batch.seed, start)
            slope_pairs(work, batch, net, pairs, by_net, block, count)
            store(found.embedding, work.dx, batch.values, start, rows, pairs.size)
