"""The naive ONNX graph, as each of the peers runs it: one thread, as the service does."""

import os

import numpy as np
import onnxruntime


class Naive:
    """`GRAPH` in the environment names the file."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.environ["GRAPH"], options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, ids: object, values: object) -> np.ndarray:
        """Probabilities [B] of ids and values [B, F]."""
        inputs = {"ids": np.asarray(ids, np.int64), "values": np.asarray(values, np.float32)}
        (probabilities,) = self._session.run(None, inputs)
        return probabilities
