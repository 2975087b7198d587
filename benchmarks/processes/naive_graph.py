"""The graph that the paper's equation gives when it is written down as it stands, with the weights
of a fitted bundle: what the service's own graph is measured against.
"""

import logging
import math
import warnings
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from model.bundle.bundle import Bundle
from model.bundle.files import PREDICT
from model.manifest import Calibration


class NaiveAfm(nn.Module):
    """AFM over B rows, F slots, K embedding, P pairs: gather i, gather j, multiply, attend, sum."""

    bias: Tensor
    linear: Tensor
    embedding: Tensor
    h: Tensor
    p: Tensor
    w: Tensor
    b: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, weights: dict[str, Tensor], slots: int, calibration: Calibration) -> None:
        super().__init__()
        for name in ("bias", "linear", "embedding", "h", "p"):
            self.register_buffer(name, weights[f"net.{name}"])
        self.register_buffer("w", weights["net.attention.weight"])
        self.register_buffer("b", weights["net.attention.bias"])
        first, second = torch.triu_indices(slots, slots, 1)
        self.register_buffer("first", first)
        self.register_buffer("second", second)
        self.scale = calibration.scale
        self.shift = calibration.scale * math.log(calibration.rate) + calibration.shift

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Probabilities [B] of `ids` int64 [B, F] and `values` float32 [B, F]."""
        features = self.embedding[ids] * values.unsqueeze(-1)  # (B, F, K)
        pairs = features[:, self.first] * features[:, self.second]  # (B, P, K)
        scores = torch.relu(pairs @ self.w.T + self.b) @ self.h  # (B, P)
        present = (values[:, self.first] != 0) & (values[:, self.second] != 0)
        attention = torch.softmax(torch.where(present, scores, -1e9), dim=1)
        pooled = (attention.unsqueeze(-1) * pairs).sum(1) @ self.p  # (B)
        linear = (self.linear[ids].squeeze(-1) * values).sum(1)
        return torch.sigmoid(self.scale * (self.bias + linear + pooled) + self.shift)


def read_weights(graph: Path) -> dict[str, Tensor]:
    """The parameters of an exported graph by their names."""
    model = onnx.load(graph)
    return {t.name: torch.tensor(numpy_helper.to_array(t)) for t in model.graph.initializer}


def export_naive_bundle(bundle: Bundle, path: Path) -> None:
    """Write the naive graph of a bundle's weights."""
    weights = read_weights(bundle.directory / PREDICT)
    export_naive(weights, len(bundle.schema.slots), bundle.manifest.calibration, path)


def export_naive(
    weights: dict[str, Tensor], slots: int, calibration: Calibration, path: Path
) -> None:
    """Write the naive graph as one ONNX file; `weights` by their names in an exported graph."""
    example = torch.zeros(2, slots, dtype=torch.int64), torch.ones(2, slots)
    rows = torch.export.Dim("rows")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports on torchvision's absence
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecations
        torch.onnx.export(
            NaiveAfm(weights, slots, calibration).eval(),
            example,
            path,
            input_names=["ids", "values"],
            output_names=["probability"],
            dynamic_shapes=({0: rows}, {0: rows}),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
