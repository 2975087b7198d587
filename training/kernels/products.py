"""FM, FwFM and FFM (model/nets/fm.py, fwfm.py, ffm.py), forward and backward in one pass.

A pair's term is r_{f(i)f(j)} times a product of two vectors, r being 1 but for FwFM. FM without
dropout needs no pairs: each vector meets the sum of those before it.
"""

from training.kernels.batch import Batch, Found, Tables, settle_row
from training.kernels.block import Pairs, Work, begin_block, pair_vectors, slope_vectors
from training.kernels.compiled import GROUP, LANES, WIDTH, compiled
from training.kernels.lanes import Floats, seed_lanes, set_products, store


@compiled
def add_products_of_pairs(
    work: Work, batch: Batch, weights: Floats, ones: Floats, pairs: Pairs, count: int
) -> None:
    """The product of each pair, and the sum of r times it in `mean`."""
    zero, products = work.top.dtype.type(0), work.product.reshape(-1, WIDTH)
    for at in range(0, count, GROUP):
        pair_vectors(work, batch, pairs, at, count)
        set_products(products[at // GROUP], zero, ones, work.e)
        for n in range(at, min(at + GROUP, count)):
            product, r = work.product[n], weights[pairs.field_pair[work.pairs[n]]]
            for lane in range(LANES):
                work.mean[lane] += r * product[lane]


@compiled
def slope_products(
    work: Work,
    batch: Batch,
    weights: Floats,
    pairs: Pairs,
    by_weights: Floats,
    block: int,
    count: int,
) -> None:
    """The slopes by x and by r, of each lane's slope by its pair term."""
    zero = work.top.dtype.type(0)
    for at in range(0, count, GROUP):
        if batch.threshold:  # kept is drawn again, in the same order
            pair_vectors(work, batch, pairs, at, count)
        for n in range(at, min(at + GROUP, count)):
            product, field_pair = work.product[n], pairs.field_pair[work.pairs[n]]
            r, by_r = weights[field_pair], zero
            slopes = work.d_product[(n - at) * LANES : (n - at + 1) * LANES]
            for lane in range(LANES):
                slopes[lane] = r * work.slopes[lane]
                by_r += work.slopes[lane] * product[lane]
            by_weights[block, field_pair] += by_r
        for k in range(len(work.de)):
            de = work.de[k]
            for lane in range(WIDTH):
                de[lane] = work.d_product[lane]
        slope_vectors(work, batch, pairs, at, count)


@compiled
def add_pooled(work: Work) -> None:
    """The sum of all pairs' products in `mean`; each vector's slope is what the others sum up to,
    in dx.
    """
    zero = work.top.dtype.type(0)
    for k in range(work.x.shape[1]):
        before = work.e[k, :LANES]
        for lane in range(LANES):
            before[lane] = zero
        for slot in range(len(work.x)):
            x = work.x[slot, k]
            for lane in range(LANES):
                work.mean[lane] += before[lane] * x[lane]
                before[lane] += x[lane]
        for slot in range(len(work.x)):
            x, dx = work.x[slot, k], work.dx[slot, k]
            for lane in range(LANES):
                dx[lane] = before[lane] - x[lane]


@compiled
def scale_slopes(work: Work) -> None:
    """dx times each lane's slope by its pair term."""
    for slot in range(len(work.dx)):
        for k in range(work.dx.shape[1]):
            dx = work.dx[slot, k]
            for lane in range(LANES):
                dx[lane] *= work.slopes[lane]


@compiled
def product_blocks(
    first: int,
    last: int,
    work: Work,
    batch: Batch,
    tables: Tables,
    weights: Floats,
    ones: Floats,
    pairs: Pairs,
    found: Found,
    by_weights: Floats,
    pooled: bool,
) -> None:
    """Scores and slopes of the rows of the blocks from `first` to before `last`. `weights`: r
    [field pairs], `by_weights` its slopes [blocks, field pairs]. `ones` [K], padded with zeros.
    `pooled`: FM without dropout.
    """
    for block in range(first, last):
        start, rows, count = begin_block(work, batch, tables, pairs, block)
        work.mean[:] = 0
        work.slopes[:] = 0
        if pooled:
            add_pooled(work)
        else:
            work.dx[:] = 0
            add_products_of_pairs(work, batch, weights, ones, pairs, count)
        for lane in range(rows):
            work.slopes[lane] = settle_row(
                batch, tables, found, block, start + lane, float(work.mean[lane])
            )
        if not batch.back:
            continue
        if pooled:
            scale_slopes(work)
        else:
            seed_lanes(work.state, batch.seed, start)
            slope_products(work, batch, weights, pairs, by_weights, block, count)
        store(found.embedding, work.dx, batch.values, start, rows, pairs.size)
