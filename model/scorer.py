"""Encoded rows to scores: a bundle's graphs in onnxruntime, in slices that fit the cache."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.encoding import Encoded
from model.errors import BundleError
from model.manifest import Dimensions

Floats = NDArray[np.float32]

# Slices of pair vectors of about 2 MB: measured on 39 slots, K = 16, 1000 rows in one run take six
# times as long a row as slices of 50, which also keep the memory arena small.
SLICE_BYTES = 2 << 20
FEWEST_ROWS = 16


class Scores(NamedTuple):
    """`probabilities` and `logits`, both float32 [B].

    A task without probabilities has None of them, and its scores are the logits themselves.
    """

    probabilities: Floats | None
    logits: Floats

    @property
    def predictions(self) -> Floats:
        """What a row is answered with: its probability, or its score where the task has none."""
        return self.logits if self.probabilities is None else self.probabilities


class Terms(NamedTuple):
    """The terms of B logits: `linear` [B, F], `interaction` and `attention` [B, P].

    No attention where the net has none, and then each pair adds its interaction; no interaction
    where the net is no sum over pairs.
    """

    linear: Floats
    interaction: Floats | None
    attention: Floats | None

    @property
    def contribution(self) -> Floats | None:
        """What each pair adds to the logit, [B, P]; None where the net is no sum over pairs."""
        if self.interaction is None or self.attention is None:
            return self.interaction
        return self.attention * self.interaction


class Scorer:
    """The graphs of one bundle directory, which must have been verified.

    `bias` is what a logit has beside its terms. `slice_rows`: rows that go into one run.
    `has_probabilities`: whether the task has them.
    """

    def __init__(self, directory: Path, dimensions: Dimensions, bias: float) -> None:
        self.bias = bias
        self._dimensions = dimensions
        pairs = dimensions.slots * (dimensions.slots - 1) // 2
        row_bytes = 4 * max(pairs * dimensions.embedding, dimensions.slots)
        self.slice_rows = max(FEWEST_ROWS, SLICE_BYTES // row_bytes)
        self._predict = _session(directory / "predict.onnx")
        # a graph without probabilities has the logits alone
        self.has_probabilities = len(self._predict.get_outputs()) > 1
        self._explain = _session(directory / "explain.onnx")

    def predict(self, encoded: Encoded) -> Scores:
        """Scores of B rows.

        Raises:
            BundleError: an id outside the table, which no encoder of this bundle makes.
        """
        parts = [_run(self._predict, part) for part in self._slices(encoded)]
        if not parts:
            return Scores(_none() if self.has_probabilities else None, _none())
        *probabilities, logits = _joined(parts)
        return Scores(probabilities[0] if probabilities else None, logits)

    def explain(self, encoded: Encoded) -> Terms:
        """Terms of B >= 1 rows; where there are pairs, the terms and `bias` add up to the logits
        that `predict` gives.

        Raises:
            BundleError: see `predict`.
        """
        linear, *found = _joined([_run(self._explain, part) for part in self._slices(encoded)])
        pairs: list[Floats | None] = [*found, None, None]  # the graph has the outputs that it needs
        return Terms(linear, pairs[0], pairs[1])

    def _slices(self, encoded: Encoded) -> Iterator[Encoded]:
        # onnxruntime takes -1 for the last row without a word, and fails the run on a larger id
        ids = encoded.ids
        if ids.size and not (ids.min() >= 0 and ids.max() < self._dimensions.rows):
            raise BundleError("an id outside the embedding table: encoder and graph do not match")
        if len(encoded) <= self.slice_rows:
            return iter([encoded] if len(encoded) else [])
        starts = range(0, len(encoded), self.slice_rows)
        return (encoded.slice(start, start + self.slice_rows) for start in starts)


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # one thread for a small graph; a service scales by processes, and a spinning one would eat them
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no class of their own
        raise BundleError(f"{path}: onnxruntime refuses the graph: {error}") from error


def _run(session: onnxruntime.InferenceSession, encoded: Encoded) -> list[Floats]:
    outputs: list[Floats] = session.run(None, {"ids": encoded.ids, "values": encoded.values})
    return outputs


def _joined(parts: list[list[Floats]]) -> list[Floats]:
    return (
        parts[0] if len(parts) == 1 else [np.concatenate(part) for part in zip(*parts, strict=True)]
    )


def _none() -> Floats:
    return np.empty(0, dtype=np.float32)
