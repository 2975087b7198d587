"""Copies of a real bundle with something changed, and a manifest that agrees with it again."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.bundle.bundle import Bundle
from model.bundle.golden import GoldenCase
from model.schema import Schema


def reseal(directory: Path, **changes: Any) -> None:
    """Make the manifest agree with the files again, so that only deeper checks can object."""
    path = directory / "manifest.json"
    body = json.loads(path.read_text())
    body["schema_digest"] = Schema.load(directory / "schema.toml").digest
    body["files"] = {
        str(file.relative_to(directory)): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "size": file.stat().st_size,
        }
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file != path
    }
    path.write_text(json.dumps(body | changes))


def whole(
    bundle: Bundle, out: Path, version: str, change: Callable[[Path], None] = lambda _: None
) -> Bundle:
    """A changed bundle that is sound: its golden rows score as they say."""
    shutil.copytree(bundle.directory, out)
    change(out)
    reseal(out, version=version)
    changed = Bundle.open(out)
    encoder, scorer = changed.read_encoder(), changed.read_scorer()
    lines = []
    for case in changed.read_golden():
        scores = scorer.predict(encoder.encode(case.request["instances"]))
        lines.append(GoldenCase.of(case.case, case.request, scores).line())
    (out / "golden.jsonl").write_text("".join(lines))
    reseal(out)
    return Bundle.open(out)


def change_graph(path: Path, change: Callable[[onnx.GraphProto], None]) -> None:
    """Write the graph at `path` anew, changed."""
    model = onnx.load_model(path, load_external_data=False)
    change(model.graph)
    path.write_bytes(model.SerializeToString())


def scale_output(path: Path, factor: float) -> None:
    """Multiply a graph's first output."""

    def change(graph: onnx.GraphProto) -> None:
        _redirect(graph)
        graph.initializer.append(
            numpy_helper.from_array(np.array(factor, np.float32), "test.factor")
        )
        graph.node.append(
            helper.make_node("Mul", ["test.before", "test.factor"], [graph.output[0].name])
        )

    change_graph(path, change)


def slow_down(path: Path, size: int, times: int) -> None:
    """Give a graph so many products of [B, size] with [size, size] to do, which come to nothing."""

    def change(graph: onnx.GraphProto) -> None:
        _redirect(graph)
        rows = "values"
        one = np.zeros((_width(graph, rows), size), np.float32)
        square = np.eye(size, dtype=np.float32)
        axis = np.array([1], np.int64)
        for name, array in (("one", one), ("square", square), ("axis", axis)):
            graph.initializer.append(numpy_helper.from_array(array, f"test.{name}"))
        nodes = [helper.make_node("MatMul", [rows, "test.one"], ["test.0"])]
        nodes += [
            helper.make_node("MatMul", [f"test.{n}", "test.square"], [f"test.{n + 1}"])
            for n in range(times)
        ]
        nodes.append(
            helper.make_node("ReduceSum", [f"test.{times}", "test.axis"], ["test.sum"], keepdims=0)
        )
        nodes.append(helper.make_node("Add", ["test.before", "test.sum"], [graph.output[0].name]))
        graph.node.extend(nodes)

    change_graph(path, change)


def _redirect(graph: onnx.GraphProto) -> None:
    # what was the first output becomes test.before
    name = graph.output[0].name
    for node in graph.node:
        for place, given in enumerate(node.input):
            if given == name:
                node.input[place] = "test.before"
        for place, made in enumerate(node.output):
            if made == name:
                node.output[place] = "test.before"


def _width(graph: onnx.GraphProto, name: str) -> int:
    (given,) = [one for one in graph.input if one.name == name]
    assert given.type.tensor_type.elem_type == TensorProto.FLOAT
    return int(given.type.tensor_type.shape.dim[1].dim_value)
