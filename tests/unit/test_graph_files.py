"""Parameters written beside a graph, and read back from there."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.errors import BundleError
from model.graph_files import PAGE, read_parameters, write_graph, write_weights

PARAMETERS = {
    "net.linear": np.arange(6, dtype=np.float32).reshape(3, 2) / 7,
    "net.bias": np.array([-2.5], np.float32),
    "net.scalar": np.array(3.0, np.float32),
}


@pytest.fixture
def written(tmp_path):
    """A graph over PARAMETERS, with a constant of its own."""
    graph, weights = tmp_path / "predict.onnx", tmp_path / "weights.bin"
    own = np.ones(2, np.float32)
    tensors = [numpy_helper.from_array(a, n) for n, a in {**PARAMETERS, "own": own}.items()]
    made = helper.make_model(helper.make_graph([], "g", [], [], initializer=tensors))
    write_graph(graph, made, weights.name, write_weights(weights, PARAMETERS))
    return graph, weights


def test_parameters_read_back_equal_and_constants_of_the_graph_are_left_out(written):
    found = read_parameters(*written)
    assert found.keys() == PARAMETERS.keys()
    for name, array in PARAMETERS.items():
        assert found[name].dtype == np.float32
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def harmed(graph, change):
    model = onnx.load_model(graph, load_external_data=False)
    change(next(t for t in model.graph.initializer if t.name == "net.bias"))
    graph.write_bytes(model.SerializeToString())


def moved(offset):
    def change(tensor):
        next(entry for entry in tensor.external_data if entry.key == "offset").value = offset

    return change


def larger(tensor):
    tensor.dims[0] = PAGE


def of_integers(tensor):
    tensor.data_type = TensorProto.INT32


@pytest.mark.parametrize("change", [moved("-4"), moved("99999"), moved("x"), larger, of_integers])
def test_a_parameter_outside_the_file_or_of_another_type_is_refused_by_name(written, change):
    graph, weights = written
    harmed(graph, change)
    with pytest.raises(BundleError, match=r"net\.bias is not float32 within .*weights\.bin"):
        read_parameters(graph, weights)
