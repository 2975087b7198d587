"""FM, FwFM and FFM (model/nets/fm.py, fwfm.py, ffm.py), forward and backward in one pass.

A pair's term is r_{f(i)f(j)} times a product of two vectors, r being 1 but for FwFM. FM without
dropout looks at no pair: each vector meets the sum of those before it, and its slope is what the
others sum up to. Then a row of the batch is worked on by itself, with a feature's K numbers side by
side as the table has them, since to lay rows into lanes would cost more than all the rest.
"""

import numpy as np

from training.kernels.batch import Batch, Found, Tables, settle_row
from training.kernels.block import Pairs, Work, begin_block, pair_vectors, slope_vectors
from training.kernels.compiled import GROUP, LANES, WIDTH, compiled, fetch_ahead
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
) -> None:
    """Scores and slopes of the rows of the blocks from `first` to before `last`. `weights`: r
    [field pairs], `by_weights` its slopes [blocks, field pairs]. `ones` [K], padded with zeros.
    """
    for block in range(first, last):
        start, rows, count = begin_block(work, batch, tables, pairs, block)
        work.mean[:] = 0
        work.slopes[:] = 0
        work.dx[:] = 0
        add_products_of_pairs(work, batch, weights, ones, pairs, count)
        for lane in range(rows):
            work.slopes[lane] = settle_row(
                batch, tables, found, block, start + lane, float(work.mean[lane])
            )
        if not batch.back:
            continue
        seed_lanes(work.state, batch.seed, start)
        slope_products(work, batch, weights, pairs, by_weights, block, count)
        store(found.embedding, work.dx, batch.values, start, rows, pairs.size)


@compiled
def pooled_blocks(first: int, last: int, batch: Batch, tables: Tables, found: Found) -> None:
    """The same as `product_blocks`, of FM without dropout."""
    slots, width = batch.ids.shape[1], tables.embedding.shape[1]
    vectors = np.empty((slots, width), tables.embedding.dtype)
    whole, products = np.empty_like(vectors[0]), np.empty_like(vectors[0])
    for block in range(first, last):
        for row in range(block * LANES, min((block + 1) * LANES, len(batch.labels))):
            products[:] = 0
            whole[:] = 0
            for slot in range(slots):
                if row + 1 < len(batch.labels):
                    fetch_ahead(tables.embedding, batch.ids[row + 1, slot])
                    fetch_ahead(tables.linear, batch.ids[row + 1, slot])
                # no name for the table's row: see lanes
                value, used = batch.values[row, slot], batch.ids[row, slot]
                if value == 0:
                    vectors[slot] = 0
                else:
                    add_vector(vectors[slot], tables.embedding[used], value, whole, products)
            by_score = settle_row(batch, tables, found, block, row, float(products.sum()))
            if batch.back:
                for slot in range(slots):
                    slope = whole.dtype.type(by_score * batch.values[row, slot])
                    set_slope(found.embedding[row, slot], vectors[slot], whole, slope)


@compiled
def add_vector(x: Floats, vector: Floats, value: float, whole: Floats, products: Floats) -> None:
    """x = v_i x_i [K], added to the `whole` of those before it, and its products with them to
    `products`.
    """
    for k in range(len(x)):
        part = vector[k] * value
        products[k] += whole[k] * part
        whole[k] += part
        x[k] = part


@compiled
def set_slope(out: Floats, x: Floats, whole: Floats, slope: float) -> None:
    """The slope by a vector [K]: what the others sum up to, times the row's."""
    for k in range(len(out)):
        out[k] = (whole[k] - x[k]) * slope
