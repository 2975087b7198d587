"""A bundle whose files are whole is refused for what they say: manifest, schema, ids, graphs."""

import json
from typing import Any

import numpy as np
import onnx
import pytest

from bundle_damage import refused, reseal
from model.bundle.bundle import Bundle
from model.bundle.files import vocabulary_file
from model.errors import BundleError
from model.manifest import FORMAT


@pytest.mark.parametrize(
    "name", ["../outside.json", "vocabulary/../../x.json", "model.pkl", "/etc/passwd"]
)
def test_a_manifest_that_names_what_no_bundle_has_is_refused(copy: Any, name: str) -> None:
    body = json.loads((copy / "manifest.json").read_text())
    body["files"][name] = {"sha256": "0" * 64, "size": 0}
    (copy / "manifest.json").write_text(json.dumps(body))
    refused(copy, "which no bundle has")


@pytest.mark.parametrize("version", [FORMAT + 1, 0, None, "1"])
def test_another_format_version_is_refused(copy: Any, version: Any) -> None:
    reseal(copy, format=version)
    refused(copy, f"bundle format {version!r}, this version reads {FORMAT}")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\x80\x04\x95", b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(copy: Any, data: Any) -> None:
    (copy / "manifest.json").write_bytes(data)
    refused(copy, "manifest.json: ")


def test_a_manifest_with_an_unknown_key_is_refused(copy: Any) -> None:
    reseal(copy, colour="red")
    refused(copy, "manifest.json: colour")


def test_a_schema_of_another_digest_is_refused(copy: Any) -> None:
    schema = copy / "schema.toml"
    schema.write_text(schema.read_text().replace("min_count = 2", "min_count = 3"))
    reseal(copy)
    refused(copy, "schema.toml: not the schema that the manifest names")


def test_a_vocabulary_of_another_size_than_the_table_is_refused(copy: Any) -> None:
    path = copy / vocabulary_file("device")
    body = json.loads(path.read_text())
    body["values"].append("one more")
    path.write_text(json.dumps(body))
    reseal(copy)
    refused(copy, "manifest.json: says .* rows")


def test_a_weight_that_is_not_finite_is_refused(copy: Any) -> None:
    weights = np.fromfile(copy / "weights.bin", dtype=np.float32)
    weights[3] = np.nan
    weights.tofile(copy / "weights.bin")
    reseal(copy)
    refused(copy, "weights.bin: a weight that is not finite")


def changed_graph(copy: Any, change: Any) -> None:
    model = onnx.load_model(copy / "predict.onnx", load_external_data=False)
    change(model.graph)
    (copy / "predict.onnx").write_bytes(model.SerializeToString())
    reseal(copy)


def test_a_graph_that_reads_outside_the_directory_is_refused(copy: Any) -> None:
    def change(graph: Any) -> None:
        table = next(t for t in graph.initializer if t.external_data)
        next(entry for entry in table.external_data if entry.key == "location").value = "../x"

    changed_graph(copy, change)
    refused(copy, r"predict.onnx: reads '\.\./x'")


def test_external_data_hidden_in_a_nested_graph_is_found(copy: Any) -> None:
    def change(graph: Any) -> None:
        inner = onnx.helper.make_graph([], "inner", [], [])
        hidden = inner.initializer.add(name="hidden", data_location=onnx.TensorProto.EXTERNAL)
        hidden.external_data.add(key="location", value="/etc/passwd")
        graph.node.append(
            onnx.helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner)
        )

    changed_graph(copy, change)
    refused(copy, "predict.onnx: reads '/etc/passwd'")


def test_a_table_of_another_size_is_refused(copy: Any) -> None:
    def change(graph: Any) -> None:
        table = next(t for t in graph.initializer if t.name == "net.embedding")
        table.dims[0] -= 1

    changed_graph(copy, change)
    refused(copy, "predict.onnx: a table of .* rows, expected")


def test_bytes_that_are_no_graph_are_refused(copy: Any) -> None:
    (copy / "predict.onnx").write_bytes(b"\x80\x04not a graph")
    reseal(copy)
    refused(copy, "predict.onnx: ")


def test_an_operator_that_onnxruntime_does_not_know_is_refused(copy: Any) -> None:
    def change(graph: Any) -> None:
        graph.node[0].op_type = "Teleport"

    changed_graph(copy, change)
    with pytest.raises(BundleError, match=r"predict\.onnx: onnxruntime refuses the graph"):
        Bundle.open(copy).read_scorer()
