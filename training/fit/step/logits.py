"""The logits of a net in training, in batches that stay in the cache.

A net's operations run on one thread each, and the batches on as many as torch has: how an operation
divides its sums among threads shows in their last bits, and a fit is to be the same on one core and
on two (on a Ray cluster each process has one).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.nets import Net
from training.data.examples import AT_ONCE, EncodedRows
from training.kernels import group

SCORED_AT_ONCE = 256  # whose pair vectors stay in the cache: twice as fast as 2048


def logits(net: Net, rows: EncodedRows) -> NDArray[np.float32]:
    """The net's logits [N], without dropout."""
    net.eval()
    scored = np.empty(len(rows), np.float32)
    chunks = group.ends(-(-len(rows) // SCORED_AT_ONCE))
    first, last = (min(chunk * SCORED_AT_ONCE, len(rows)) for chunk in group.own(chunks))
    for at in range(first, last, AT_ONCE):
        ids, values = rows.between(at, min(at + AT_ONCE, last))
        scored[at : at + len(ids)] = in_slices(net, ids, values).numpy()
    group.complete([(scored, [min(end * SCORED_AT_ONCE, len(rows)) for end in chunks])])
    return scored


def in_slices(net: Net, ids: Tensor, values: Tensor) -> Tensor:
    """What the net makes of rows [B], some of them at a time; without slopes."""

    def score(some: tuple[Tensor, Tensor]) -> Tensor:
        with torch.no_grad():  # which is a thread's own
            logits: Tensor = net(*some)
            return logits

    slices = zip(ids.split(SCORED_AT_ONCE), values.split(SCORED_AT_ONCE), strict=True)
    with _one_thread_an_operation() as threads:
        return torch.cat(list(threads.map(score, slices)))


@contextmanager
def _one_thread_an_operation() -> Iterator[ThreadPoolExecutor]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, "score") as pool:  # new ones: they take the number over
            yield pool
    finally:
        torch.set_num_threads(threads)
