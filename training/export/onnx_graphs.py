"""A fitted net to ONNX graphs over one weights file, and the gate that they must pass."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.bundle.files import ADS, EXPLAIN, PREDICT, RANK, WEIGHTS
from model.bundle.graph_files import PREFIX, write_graph, write_weights
from model.encoding import Encoded, Slate
from model.errors import ParityError
from model.manifest import Calibration
from model.nets import Net
from model.nets.graphs import ExplainGraph, PredictGraph
from model.nets.rank_graphs import AdsGraph, RankGraph
from model.scorer import PARTIALS, Scorer, ScoreTerms
from training.export.tracing import trace

# of a probability, and of a logit relative to 1, or to the terms that it is the sum of, each with
# its sign taken off
TOLERANCE = 1e-5


def export(
    net: Net, calibration: Calibration | None, candidate: Sequence[bool], directory: Path
) -> None:
    """Write the graphs of `net` and their weights into `directory`; `candidate` [F] says which
    slots the ads give. Without slots of both sides there is nothing to rank; without a
    `calibration` there are no probabilities.
    """
    net.eval()
    parameters = {f"{PREFIX}{name}": p.detach().numpy() for name, p in net.named_parameters()}
    offsets = write_weights(directory / WEIGHTS, parameters)
    slots, ads = len(candidate), sum(candidate)
    scores = ["logit"] if calibration is None else ["probability", "logit"]
    terms = ["linear_terms", "interactions", "attentions"]
    rows = {"ids": (3, slots), "values": (3, slots)}
    graphs = {
        PREDICT: trace(PredictGraph(net, calibration), rows, scores, offsets),
        EXPLAIN: trace(ExplainGraph(net), rows, terms, offsets),
    }
    if 0 < ads < slots:
        of_ads = {"ids": (3, ads), "values": (3, ads)}
        graphs[ADS] = trace(AdsGraph(net, candidate), of_ads, [PARTIALS], offsets)
        width = graphs[ADS].graph.output[0].type.tensor_type.shape.dim[1].dim_value
        context = {f"context_{name}": (1, slots - ads) for name in ("ids", "values")}
        ranked = RankGraph(net, calibration, candidate)
        graphs[RANK] = trace(ranked, context | of_ads | {PARTIALS: (3, width)}, scores, offsets)
    for name, graph in graphs.items():
        write_graph(directory / name, graph, WEIGHTS, offsets)


def check_parity(
    net: Net, calibration: Calibration | None, scorer: Scorer, cases: Mapping[str, Encoded | Slate]
) -> float:
    """Score each case with torch and with onnxruntime; returns the largest difference of a logit.

    Raises:
        ParityError: a difference above TOLERANCE, or terms that do not add up to their logit; names
            the case.
    """
    graph = PredictGraph(net, calibration).eval()
    worst = 0.0
    for name, case in cases.items():
        encoded = scorer.joined(case) if isinstance(case, Slate) else case
        with torch.no_grad():
            expected = graph(torch.from_numpy(encoded.ids), torch.from_numpy(encoded.values))
        *probabilities, logits = (tensor.numpy() for tensor in expected)
        scores, terms = scorer.predict_plainly(encoded), scorer.explain(encoded)
        size = _size(scorer, logits, terms)
        with torch.no_grad():
            linear = net.linear_terms(*map(torch.from_numpy, (encoded.ids, encoded.values))).numpy()
        differences = {
            "logits": np.abs(scores.logits - logits) / size,
            "linear terms": np.abs(terms.linear - linear) / np.maximum(1, np.abs(linear)),
        }
        if probabilities and scores.probabilities is not None:
            differences["probabilities"] = np.abs(scores.probabilities - probabilities[0])
        elif probabilities or scores.probabilities is not None:
            raise ParityError(
                f"parity gate, {name}: one of torch and onnxruntime has probabilities"
            )
        if scorer.has_rank and isinstance(case, Slate):
            ranked = scorer.rank(case)
            differences["ranked logits"] = np.abs(ranked.logits - logits) / size
            if probabilities and ranked.probabilities is not None:
                difference = np.abs(ranked.probabilities - probabilities[0])
                differences["ranked probabilities"] = difference
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


def _size(scorer: Scorer, logits: NDArray[np.float32], terms: ScoreTerms) -> NDArray[np.float64]:
    # what float32 can be exact to a share of: where hundreds of terms cancel, that is not the logit
    size = np.maximum(1.0, np.abs(logits, dtype=np.float64))
    if terms.contribution is None:
        return size
    added = abs(scorer.bias) + np.abs(terms.linear).sum(1, np.float64)
    added += np.abs(terms.contribution).sum(1, np.float64)
    larger: NDArray[np.float64] = np.maximum(size, added)
    return larger


def edge_cases(
    ids: NDArray[np.int64],
    values: NDArray[np.float32],
    offsets: NDArray[np.int64],
    rows: int,
    candidate: Sequence[bool],
) -> dict[str, Encoded | Slate]:
    """Encoded rows for the gate: batch sizes, nothing present, one feature, ends of the table, and
    the same with one context for all rows.

    `ids` and `values` [N, F] are real rows; `offsets` [F] the first table row of each slot;
    `candidate` [F] the slots that the ads give.

    Not here: ids beyond 2^24, which float32 could not distinguish. How a graph gathers does not
    depend on how long its table is; tests/integration/export/test_export.py tries fm and afm on one
    that long, with whole rows and with one context.
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
    slates = {f"{name}, one context": _one_context(case, candidate) for name, case in cases.items()}
    return {**cases, **slates}


def _one_context(case: Encoded, candidate: Sequence[bool]) -> Slate:
    # the first row's, for all
    ads = np.array(candidate, dtype=bool)
    return Slate(
        Encoded(case.ids[:1, ~ads], case.values[:1, ~ads]),
        Encoded(case.ids[:, ads], case.values[:, ads]),
    )
