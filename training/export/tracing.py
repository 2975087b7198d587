"""Modules traced to ONNX graphs; one of a structure that was traced before is not traced again.

Tracing takes seconds however small the net, and `compare` fits the same structure many times. A
structure is all that shapes a graph: the modules' types and settings, the names and shapes of their
tensors, and the integers in them; not how many rows a table has. The floats are laid into the graph
anew each time. What slips through is caught by the parity gate, which every graph must pass. Traces
are kept in memory, and on disk for later processes (`kept_traces`).
"""

import logging
import warnings
from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import onnx
import torch
from torch import Tensor, nn

from model.errors import ParityError
from model.nets.net import TABLES
from training.export.kept_traces import keep_trace, read_trace

GATHERED = tuple(f".{name}" for name in TABLES)  # parameters of which rows are gathered
TRACED_ROWS = 16  # of a table
KEPT = 64  # graphs, without their floats: some ten kilobytes each

_traced: dict[Hashable, onnx.ModelProto] = {}


def trace(
    module: nn.Module,
    inputs: Mapping[str, tuple[int, int]],
    outputs: Sequence[str],
    apart: Container[str] = (),
) -> onnx.ModelProto:
    """The graph of a module that takes `inputs` of the shapes given, int64 those whose name ends in
    ids, the others float32; a shape of more than one row stands for any number. Of the tensors
    `apart` it has the shapes alone: their numbers lie in another file, since a graph holds at most
    2 GB.

    Raises:
        ParityError: torch cannot trace it.
    """
    module.eval()
    key = (tuple(inputs.items()), tuple(outputs), *_structure(module))
    if key not in _traced:
        while len(_traced) >= KEPT:
            _traced.pop(next(iter(_traced)))
        found = read_trace(key)
        if found is None:
            with _short_tables(module):
                found = _without_floats(_trace(module, inputs, outputs), module)
            keep_trace(key, found)
        _traced[key] = found
    graph = onnx.ModelProto()
    graph.CopyFrom(_traced[key])
    floats = dict(_floats(module))
    for tensor in graph.graph.initializer:
        if tensor.name in floats:
            of_now = floats[tensor.name].detach().numpy()
            tensor.dims[:] = of_now.shape
            if tensor.name not in apart:
                tensor.raw_data = of_now.astype("<f4").tobytes()
    return graph


def _structure(module: nn.Module) -> Iterator[Hashable]:
    for name, part in module.named_modules():
        settings = {k: v for k, v in vars(part).items() if not k.startswith("_")}
        yield name, type(part), repr(settings)
    for name, tensor in _tensors(module):
        whole = None if tensor.is_floating_point() else tensor.numpy().tobytes()
        shape = tuple(tensor.shape)[1 if name.endswith(GATHERED) else 0 :]
        yield name, shape, tensor.dtype, whole


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _floats(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, tensor) for name, tensor in _tensors(module) if tensor.is_floating_point())


def _without_floats(graph: onnx.ModelProto, module: nn.Module) -> onnx.ModelProto:
    floats = dict(_floats(module))
    for tensor in graph.graph.initializer:
        if tensor.name in floats:
            tensor.ClearField("raw_data")
    return graph


@contextmanager
def _short_tables(module: nn.Module) -> Iterator[None]:
    # torch writes a graph with its numbers, at most 2 GB, and how long a table is shows nowhere
    tables = [
        (table, table.data, table.grad)
        for name, table in module.named_parameters()
        if name.endswith(GATHERED)
    ]
    try:
        for table, whole, _ in tables:
            table.grad = None  # which would have to be as long
            table.data = whole[:TRACED_ROWS]
        yield
    finally:
        for table, whole, grad in tables:
            table.data, table.grad = whole, grad


def _trace(
    module: nn.Module, inputs: Mapping[str, tuple[int, int]], outputs: Sequence[str]
) -> onnx.ModelProto:
    example = tuple(
        torch.zeros(shape, dtype=torch.int64) if name.endswith("ids") else torch.ones(shape)
        for name, shape in inputs.items()
    )
    rows = torch.export.Dim("B", min=1)
    dynamic = tuple({0: rows} if shape[0] > 1 else {} for shape in inputs.values())
    with torch.no_grad():
        outputs = outputs[: len(module(*example))]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports on torchvision's absence
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecations, of no use to who trains a model
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            dynamic_shapes=dynamic,
            input_names=list(inputs),
            output_names=outputs,
            optimize=False,  # onnxruntime does; here it would bake copies of the weights in
            verbose=False,
        )
    if program is None:
        raise ParityError("torch exported no graph")
    return program.model_proto
