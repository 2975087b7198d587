"""ONNX graphs that keep their parameters in one weights file beside them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.external_data_helper import set_external_data, uses_external_data

from model.errors import BundleError

PREFIX = "net."  # of a parameter's name in the graphs: the modules exported have the net as `net`
PAGE = 4096  # parameters start on pages of their own, so that onnxruntime can map them


def write_weights(path: Path, parameters: Mapping[str, NDArray[np.float32]]) -> dict[str, int]:
    """Write parameters one after the other, and return the offset in bytes of each."""
    offsets = {}
    with path.open("wb") as file:
        for name, parameter in parameters.items():
            file.write(b"\0" * (-file.tell() % PAGE))
            offsets[name] = file.tell()
            file.write(np.ascontiguousarray(parameter, dtype="<f4").data)
    return offsets


def write_graph(
    path: Path, graph: onnx.ModelProto, weights: str, offsets: Mapping[str, int]
) -> None:
    """Write a graph whose initialisers named in `offsets` are read from the file `weights`."""
    for tensor in graph.graph.initializer:
        if tensor.name in offsets:
            size = 4 * math.prod(tensor.dims)
            tensor.raw_data = b""  # onnx refuses a tensor that has no such field
            set_external_data(tensor, weights, offset=offsets[tensor.name], length=size)
            tensor.ClearField("raw_data")
    path.write_bytes(graph.SerializeToString(deterministic=True))


def read_parameters(path: Path, weights: Path) -> dict[str, NDArray[np.float32]]:
    """What `write_weights` and `write_graph` wrote: the parameters of the graph at `path` that the
    file `weights` holds, by name. The graph must have been checked.

    Raises:
        BundleError: a parameter that is not float32, or does not lie within the file.
    """
    data = weights.read_bytes()
    found = {}
    for tensor in onnx.load_model(path, load_external_data=False).graph.initializer:
        if not uses_external_data(tensor):
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        shape = tuple(tensor.dims)
        start = where.get("offset", "0")
        # signs and other texts would be read by int() as well
        end = int(start) + 4 * math.prod(shape) if start.isdecimal() else len(data) + 1
        if tensor.data_type != onnx.TensorProto.FLOAT or end > len(data):
            raise BundleError(f"{path}: parameter {tensor.name} is not float32 within {weights}")
        array = np.frombuffer(data[int(start) : end], dtype="<f4").reshape(shape)
        found[tensor.name] = array.astype(np.float32)
    return found


def check_graph(path: Path, weights: str, rows: int) -> None:
    """Refuse a graph that reads another file than `weights`, or has a table of other than `rows`.

    Raises:
        BundleError: what is wrong with it.
    """
    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # whatever the protobuf parser makes of foreign bytes
        raise BundleError(f"{path}: not an ONNX graph", "graph") from error
    found = 0
    for tensor in _tensors(model.graph, model.functions):
        where = {entry.key: entry.value for entry in tensor.external_data}
        if uses_external_data(tensor) and where.get("location") != weights:
            raise BundleError(
                f"{path}: reads {where.get('location')!r}, which is not {weights}", "outside"
            )
        if tensor.name.endswith((".linear", ".embedding")):
            found += 1
            if tensor.dims[0] != rows:
                raise BundleError(
                    f"{path}: a table of {tensor.dims[0]} rows, expected {rows}", "dimensions"
                )
    if not found:
        raise BundleError(f"{path}: no table of {rows} rows in it", "dimensions")


def _tensors(
    graph: onnx.GraphProto, functions: Iterable[onnx.FunctionProto] = ()
) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_of_nodes(graph.node)
    for function in functions:
        yield from _tensors_of_nodes(function.node)


def _tensors_of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
