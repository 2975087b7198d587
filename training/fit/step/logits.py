"""The logits of a net in training, in batches that stay in the cache.

In memory a net's operations run on one thread each, and the batches on all cores, see
training.cores. On a device larger batches follow each other.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.nets import Net
from training import group
from training.cores import cores, one_core_an_operation
from training.data.examples import AT_ONCE, EncodedRows

SCORED_AT_ONCE = 256  # whose pair vectors stay in the cache: twice as fast as 2048
ON_DEVICE = 4096


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
    """What the net makes of rows [B], some of them at a time; in memory, without slopes."""
    place = net.bias.device

    def score(some: tuple[Tensor, Tensor]) -> Tensor:
        with torch.no_grad():  # which is a thread's own
            logits: Tensor = net(*(tensor.to(place) for tensor in some))
            return logits.cpu()

    at_once = SCORED_AT_ONCE if place.type == "cpu" else ON_DEVICE
    slices = zip(ids.split(at_once), values.split(at_once), strict=True)
    if place.type != "cpu" or len(ids) <= at_once:
        with one_core_an_operation():
            return torch.cat(list(map(score, slices)))
    # new threads: they take the number of an operation's threads over
    with one_core_an_operation(), ThreadPoolExecutor(cores(), "score") as threads:
        return torch.cat(list(threads.map(score, slices)))
