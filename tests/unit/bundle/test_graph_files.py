"""Graphs over one weights file: where the parameters lie, how they are read back, and which
graphs are refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.bundle.graph_files import PAGE, check_graph, read_parameters, write_graph, write_weights
from model.errors import BundleError

ROWS = 5
TABLE = np.arange(ROWS * 3, dtype=np.float32).reshape(ROWS, 3)
LINEAR = np.ones((ROWS, 1), np.float32)


def gather(name: str = "net.embedding", table: Any = TABLE, nodes: Any = (), more: Any = ()) -> Any:
    """ids -> rows of the table."""
    graph = helper.make_graph(
        [helper.make_node("Gather", [name, "ids"], ["rows"]), *nodes],
        "gather",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B"])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["B", table.shape[1]])],
        [numpy_helper.from_array(table, name), *more],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def written(directory: Any, model: Any = None, parameters: Any = None) -> Any:
    offsets = write_weights(directory / "weights.bin", parameters or {"net.embedding": TABLE})
    write_graph(directory / "graph.onnx", model or gather(), "weights.bin", offsets)
    return directory / "graph.onnx"


def test_parameters_start_on_pages_of_their_own(tmp_path: Path) -> None:
    offsets = write_weights(tmp_path / "w", {"a": TABLE, "b": LINEAR, "c": TABLE})
    assert offsets == {"a": 0, "b": PAGE, "c": 2 * PAGE}
    assert (tmp_path / "w").stat().st_size == 2 * PAGE + TABLE.nbytes


def test_parameters_are_little_endian_float32_row_by_row(tmp_path: Path) -> None:
    across = np.asfortranarray(TABLE.astype(">f8"))
    write_weights(tmp_path / "w", {"a": across})
    found = np.fromfile(tmp_path / "w", "<f4").reshape(TABLE.shape)
    np.testing.assert_array_equal(found, TABLE)


def test_a_parameter_that_fills_a_page_leaves_no_gap(tmp_path: Path) -> None:
    page = np.zeros(PAGE // 4, np.float32)
    assert write_weights(tmp_path / "w", {"a": page, "b": page}) == {"a": 0, "b": PAGE}


def test_a_written_graph_holds_no_weights_and_reads_them_from_the_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tensor,) = onnx.load_model(path, load_external_data=False).graph.initializer
    assert not tensor.raw_data
    session = onnxruntime.InferenceSession(path)
    (rows,) = session.run(None, {"ids": np.array([4, 0])})
    np.testing.assert_array_equal(rows, TABLE[[4, 0]])


def test_two_graphs_share_the_file(tmp_path: Path) -> None:
    offsets = write_weights(
        tmp_path / "weights.bin", {"net.linear": LINEAR, "net.embedding": TABLE}
    )
    write_graph(tmp_path / "a.onnx", gather(), "weights.bin", offsets)
    write_graph(tmp_path / "b.onnx", gather("net.linear", LINEAR), "weights.bin", offsets)
    for name, table in (("a", TABLE), ("b", LINEAR)):
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx")
        (rows,) = session.run(None, {"ids": np.array([1, 3])})
        np.testing.assert_array_equal(rows, table[[1, 3]])


def test_constants_that_are_no_parameters_stay_in_the_graph(tmp_path: Path) -> None:
    constant = numpy_helper.from_array(np.array([2.0], np.float32), "two")
    path = written(tmp_path, gather(more=[constant]))
    found = {t.name: t for t in onnx.load_model(path, load_external_data=False).graph.initializer}
    assert numpy_helper.to_array(found["two"]).tolist() == [2.0]


def test_the_same_graph_is_written_to_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = (written(tmp_path / name).read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_good_graph_passes(tmp_path: Path) -> None:
    check_graph(written(tmp_path), "weights.bin", ROWS)


def test_a_table_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"graph\.onnx: a table of 5 rows, expected 6"):
        check_graph(written(tmp_path), "weights.bin", ROWS + 1)


def test_a_graph_without_a_table_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, gather("net.other"), {"net.other": TABLE})
    with pytest.raises(BundleError, match="no table of 5 rows"):
        check_graph(path, "weights.bin", ROWS)


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x08\x09" * 40], ids=repr)
def test_bytes_that_are_no_graph_are_refused(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"graph\.onnx"):
        check_graph(path, "weights.bin", ROWS)


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../weights.bin", "other.bin", "./weights.bin"]
)
def test_another_file_than_the_weights_is_refused(tmp_path: Path, location: str) -> None:
    path = written(tmp_path)
    model = onnx.load_model(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"which is not weights\.bin"):
        check_graph(path, "weights.bin", ROWS)


def outside(name: str) -> Any:
    tensor = numpy_helper.from_array(TABLE, name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/shadow"
    return tensor


def test_a_constant_node_that_reads_a_file_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Constant", [], ["stolen"], value=outside("hidden"))
    path = written(tmp_path, gather(nodes=[node]))
    with pytest.raises(BundleError, match="/etc/shadow"):
        check_graph(path, "weights.bin", ROWS)


def test_a_file_read_within_a_branch_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    node = helper.make_node("Constant", [], ["out"], value=outside("hidden"))
    branch = helper.make_graph([node], "branch", [], [value])
    condition = numpy_helper.from_array(np.array(True), "condition")
    choice = helper.make_node("If", ["condition"], ["x"], then_branch=branch, else_branch=branch)
    path = written(tmp_path, gather(nodes=[choice], more=[condition]))
    with pytest.raises(BundleError, match="/etc/shadow"):
        check_graph(path, "weights.bin", ROWS)


def test_a_file_read_within_a_function_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Constant", [], ["out"], value=outside("hidden"))
    opset = [helper.make_opsetid("", 18)]
    model = gather()
    model.functions.append(helper.make_function("own", "F", [], ["out"], [node], opset))
    path = written(tmp_path, model)
    with pytest.raises(BundleError, match="/etc/shadow"):
        check_graph(path, "weights.bin", ROWS)


PARAMETERS: dict[str, Any] = {
    "net.linear": np.arange(6, dtype=np.float32).reshape(3, 2) / 7,
    "net.bias": np.array([-2.5], np.float32),
    "net.scalar": np.array(3.0, np.float32),
}


@pytest.fixture
def parameters(tmp_path: Path) -> Any:
    """A graph over PARAMETERS, with a constant of its own."""
    graph, weights = tmp_path / "predict.onnx", tmp_path / "weights.bin"
    own = np.ones(2, np.float32)
    tensors = [numpy_helper.from_array(a, n) for n, a in {**PARAMETERS, "own": own}.items()]
    made = helper.make_model(helper.make_graph([], "g", [], [], initializer=tensors))
    write_graph(graph, made, weights.name, write_weights(weights, PARAMETERS))
    return graph, weights


def test_parameters_read_back_equal_and_constants_of_the_graph_are_left_out(
    parameters: Any,
) -> None:
    found = read_parameters(*parameters)
    assert found.keys() == PARAMETERS.keys()
    for name, array in PARAMETERS.items():
        assert found[name].dtype == np.float32
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def harmed(graph: Any, change: Any) -> None:
    model = onnx.load_model(graph, load_external_data=False)
    change(next(t for t in model.graph.initializer if t.name == "net.bias"))
    graph.write_bytes(model.SerializeToString())


def moved(offset: Any) -> Any:
    def change(tensor: Any) -> None:
        next(entry for entry in tensor.external_data if entry.key == "offset").value = offset

    return change


def larger(tensor: Any) -> None:
    tensor.dims[0] = PAGE


def of_integers(tensor: Any) -> None:
    tensor.data_type = TensorProto.INT32


@pytest.mark.parametrize("change", [moved("-4"), moved("99999"), moved("x"), larger, of_integers])
def test_a_parameter_outside_the_file_or_of_another_type_is_refused_by_name(
    parameters: Any, change: Any
) -> None:
    graph, weights = parameters
    harmed(graph, change)
    with pytest.raises(BundleError, match=r"net\.bias is not float32 within .*weights\.bin"):
        read_parameters(graph, weights)
