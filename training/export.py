"""A fitted net to ONNX graphs over one weights file, and the gate that they must pass."""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from model.bundle import EXPLAIN, PREDICT, WEIGHTS
from model.encoding import Encoded
from model.errors import ParityError
from model.graph_files import write_graph, write_weights
from model.manifest import Calibration
from model.nets import Net
from model.nets.graphs import ExplainGraph, PredictGraph
from model.scorer import Scorer

PREFIX = "net."  # of a parameter's name in the graphs: the modules exported have the net as `net`
TOLERANCE = 1e-5  # of a probability, and of a logit relative to max(1, |logit|)


def export(net: Net, calibration: Calibration, slots: int, directory: Path) -> None:
    """Write the predict and explain graphs of `net` and their weights into `directory`."""
    net.eval()
    parameters = {f"{PREFIX}{name}": p.detach().numpy() for name, p in net.named_parameters()}
    offsets = write_weights(directory / WEIGHTS, parameters)
    predict = _graph(PredictGraph(net, calibration), slots, ["probability", "logit"])
    explain = _graph(ExplainGraph(net), slots, ["linear_terms", "interactions", "attentions"])
    write_graph(directory / PREDICT, predict, WEIGHTS, offsets)
    write_graph(directory / EXPLAIN, explain, WEIGHTS, offsets)


def _graph(module: nn.Module, slots: int, outputs: list[str]) -> onnx.ModelProto:
    example = (torch.zeros(3, slots, dtype=torch.int64), torch.ones(3, slots))
    rows = {0: torch.export.Dim("B", min=1)}
    with torch.no_grad():
        outputs = outputs[: len(module(*example))]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports on torchvision's absence
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecations, of no use to who trains a model
        program = torch.onnx.export(
            module.eval(),
            example,
            dynamo=True,
            dynamic_shapes=(rows, rows),
            input_names=["ids", "values"],
            output_names=outputs,
            optimize=False,  # onnxruntime does; here it would bake copies of the weights in
            verbose=False,
        )
    if program is None:
        raise ParityError("torch exported no graph")
    return program.model_proto


def check_parity(
    net: Net, calibration: Calibration, scorer: Scorer, cases: dict[str, Encoded]
) -> float:
    """Score each case with torch and with onnxruntime; returns the largest difference of a logit.

    Raises:
        ParityError: a difference above TOLERANCE, or terms that do not add up to their logit; names
            the case.
    """
    graph = PredictGraph(net, calibration).eval()
    worst = 0.0
    for name, encoded in cases.items():
        with torch.no_grad():
            expected = graph(torch.from_numpy(encoded.ids), torch.from_numpy(encoded.values))
        probabilities, logits = (tensor.numpy() for tensor in expected)
        scores, terms = scorer.predict(encoded), scorer.explain(encoded)
        size = np.maximum(1, np.abs(logits))
        with torch.no_grad():
            linear = net.linear_terms(*map(torch.from_numpy, (encoded.ids, encoded.values))).numpy()
        differences = {
            "probabilities": np.abs(scores.probabilities - probabilities),
            "logits": np.abs(scores.logits - logits) / size,
            "linear terms": np.abs(terms.linear - linear) / np.maximum(1, np.abs(linear)),
        }
        if terms.contribution is not None:  # else the net is no sum over pairs
            pairs = terms.contribution.sum(1, np.float64)
            added = scorer.bias + terms.linear.sum(1, np.float64) + pairs
            differences["terms"] = np.abs(added - scores.logits) / size
        for what, difference in differences.items():
            if not difference.max() <= TOLERANCE:  # NaN must not pass
                raise ParityError(
                    f"parity gate, {name}: {what} of torch and onnxruntime differ by "
                    f"{difference.max():.2g}, more than {TOLERANCE:g}"
                )
        worst = max(worst, float(differences["logits"].max()))
    return worst


def edge_cases(
    ids: NDArray[np.int64], values: NDArray[np.float32], offsets: NDArray[np.int64], rows: int
) -> dict[str, Encoded]:
    """Encoded rows for the gate: batch sizes, nothing present, one feature, ends of the table.

    `ids` and `values` [N, F] are real rows; `offsets` [F] the first table row of each slot.
    """
    repeats = -(-1000 // len(ids))
    many = Encoded(np.tile(ids, (repeats, 1))[:1000], np.tile(values, (repeats, 1))[:1000])
    cases = {f"batch of {size}": many.slice(0, size) for size in (1, 2, 7, 1000)}
    slots = len(offsets)
    ones = np.ones((slots, slots), np.float32)
    each = np.tile(offsets, (slots, 1))
    cases["nothing present"] = Encoded(each, 0 * ones)
    cases["all missing"] = Encoded(each + 1, ones)
    cases["all unknown"] = Encoded(each + 2, ones)
    cases["one present feature"] = Encoded(each + 2, np.eye(slots, dtype=np.float32))
    cases["last row of the table"] = Encoded(np.full_like(each, rows - 1), ones)
    return cases
