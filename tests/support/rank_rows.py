"""Rows of one context with its ads, and their scores by the rank graph and as whole rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from model.encoding import Encoded, Slate
from model.manifest import Calibration, Dimensions
from model.nets import NetSizes, build
from model.nets.graphs import PredictGraph
from model.nets.net import Net
from model.nets.rank_graphs import AdsGraph, RankGraph
from model.scorer import Scorer
from training.export.onnx_graphs import export

V = 60
FIELDS = [0, 1, 2, 2, 2, 3, 4, 5, 5]  # fields 2 and 5 are multi-valued
F = len(FIELDS)

SPLITS = {
    "interleaved": [field in (1, 2, 4) for field in FIELDS],
    "one ad slot": [field == 4 for field in FIELDS],
    "one context slot": [field != 0 for field in FIELDS],
    "context behind the ads": [field < 3 for field in FIELDS],
}

CALIBRATION = Calibration(scale=1.3, shift=-0.2)


def net_of(name: str, seed: int = 0) -> Net:
    """A net with weights as large as trained ones."""
    torch.manual_seed(seed)
    net = build(name, V, FIELDS, NetSizes(embedding=5, attention=4, hidden=(6,))).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.6)
    return net


def shared_rows(
    count: int, candidate: Sequence[bool], absent: float = 0.3, seed: int = 0
) -> Encoded:
    """Rows whose slots of the context are all those of the first row."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, (count, F))
    values = rng.normal(size=(count, F)).astype(np.float32)
    values[rng.random((count, F)) < absent] = 0
    context = ~np.array(candidate)
    ids[:, context], values[:, context] = ids[:1, context], values[:1, context]
    return Encoded(ids, values)


def slate_of(encoded: Encoded, candidate: Sequence[bool]) -> Slate:
    """The rows as one context with its ads."""
    ads = np.array(candidate)
    context = Encoded(encoded.ids[:1, ~ads], encoded.values[:1, ~ads])
    return Slate(context, Encoded(encoded.ids[:, ads], encoded.values[:, ads]))


def shared_slate(count: int, candidate: Sequence[bool]) -> Slate:
    """One context with `count` ads."""
    return slate_of(shared_rows(count, candidate), candidate)


def ranked(
    net: Net, encoded: Encoded, candidate: Sequence[bool], calibration: Calibration = CALIBRATION
) -> list[np.ndarray]:
    """Probabilities and logits [B] by the rank graph."""
    slate = slate_of(encoded, candidate)
    sides = [
        torch.from_numpy(array)
        for side in (slate.context, slate.ads)
        for array in (side.ids, side.values)
    ]
    with torch.no_grad():
        (alone,) = AdsGraph(net, candidate).eval()(*sides[2:])
        found = RankGraph(net, calibration, candidate).eval()(*sides, alone)
    return [tensor.numpy() for tensor in found]


def whole(net: Net, encoded: Encoded, calibration: Calibration = CALIBRATION) -> list[np.ndarray]:
    """The same as whole rows."""
    graph = PredictGraph(net, calibration).eval()
    with torch.no_grad():
        found = graph(torch.from_numpy(encoded.ids), torch.from_numpy(encoded.values))
    return [tensor.numpy() for tensor in found]


def scorer_of(
    net: Net, directory: Path, candidate: Sequence[bool], calibration: Calibration = CALIBRATION
) -> Scorer:
    """A scorer of the exported net."""
    export(net, calibration, candidate, directory)
    sizes = net.sizes
    dimensions = Dimensions(rows=V, slots=F, **sizes)
    return Scorer(directory, dimensions, float(net.bias.detach()), candidate)
