"""What makes traces to ONNX quicker in tests."""

import functools

from torch.onnx._internal.exporter._registration import ONNXRegistry


def read_operators_once() -> None:
    """A third of a trace is torch's reading of its own list of operators, the same each time."""
    read_once = functools.cache(ONNXRegistry.from_torchlib)
    ONNXRegistry.from_torchlib = staticmethod(read_once)  # type: ignore[method-assign]  # on purpose
