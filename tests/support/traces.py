"""ONNX traces for tests: a trace takes a second, so one of a structure is made once for all workers
of a session.
"""

import functools
import hashlib
import os
from collections.abc import Hashable
from pathlib import Path

import onnx
from torch.onnx._internal.exporter._registration import ONNXRegistry

from training.export import tracing


class SharedTraces(dict[Hashable, onnx.ModelProto]):
    """The traces that `training.export.tracing` keeps, in files of a `folder` as well."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def __contains__(self, key: object) -> bool:
        if not super().__contains__(key):
            file = self._file(key)
            if not file.exists():
                return False
            super().__setitem__(key, onnx.ModelProto.FromString(file.read_bytes()))
        return True

    def __setitem__(self, key: Hashable, graph: onnx.ModelProto) -> None:
        super().__setitem__(key, graph)
        own = self._folder / f"{os.getpid()}"
        own.write_bytes(graph.SerializeToString())
        own.rename(self._file(key))  # whole, for whoever reads it

    def _file(self, key: object) -> Path:
        # all of a key has a text that is the same in each process: names, shapes, numbers, types
        return self._folder / hashlib.sha256(repr(key).encode()).hexdigest()


def share_traces(folder: Path) -> None:
    """Keep this process's traces in `folder`, and find those of others there."""
    tracing._traced = SharedTraces(folder)
    # a third of a trace is torch's reading of its own list of operators, the same each time
    read_once = functools.cache(ONNXRegistry.from_torchlib)
    ONNXRegistry.from_torchlib = staticmethod(read_once)  # type: ignore[method-assign]  # on purpose
