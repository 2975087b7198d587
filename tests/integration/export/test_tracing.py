"""Graphs of a structure that was traced before: the same as if they were traced anew."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from model.manifest import Calibration
from model.nets import NetSizes, build
from model.nets.graphs import ExplainGraph, PredictGraph
from model.nets.rank_graphs import AdsGraph, RankGraph
from training.export import tracing
from training.export.tracing import trace

FIELDS = (0, 1, 1, 2)
CANDIDATE = (False, False, True, True)
WHOLE = {"ids": (3, 4), "values": (3, 4)}
ADS = {"ids": (3, 2), "values": (3, 2)}
CONTEXT = {"context_ids": (1, 2), "context_values": (1, 2)}
LINE = Calibration(scale=1.5, shift=-0.25)
KNOTS = Calibration(knots=[-1.0, 0.5, 2.0], levels=[-2.0, 0.0, 0.5])


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_traced", {})
    monkeypatch.setattr(tracing, "read_trace", lambda key: None)  # noqa: ARG005  nothing is kept


def net(name: Any, seed: Any = 1, rows: Any = 20, fields: Any = FIELDS, **sizes: Any) -> Any:
    torch.manual_seed(seed)
    given: dict[str, Any] = {"embedding": 4, "attention": 3, "hidden": (5,), **sizes}
    settings = NetSizes(**given)
    made = build(name, rows, fields, settings).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return made


def graphs(of: Any) -> Any:
    """The four graphs of a net."""
    outputs, terms = ["probability", "logit"], ["linear_terms", "interactions", "attentions"]
    return [
        trace(PredictGraph(of, LINE), WHOLE, outputs),
        trace(ExplainGraph(of), WHOLE, terms),
        trace(AdsGraph(of, CANDIDATE), ADS, ["alone"]),
        trace(RankGraph(of, LINE, CANDIDATE), inputs_of_rank(of, CANDIDATE), outputs),
    ]


def inputs_of_rank(of: Any, candidate: Any) -> Any:
    (alone,) = AdsGraph(of, candidate)(torch.zeros(3, 2, dtype=torch.int64), torch.ones(3, 2))
    return CONTEXT | ADS | {"alone": tuple(alone.shape)}


@pytest.mark.parametrize("name", ["ffm", "nfm", "afm+"])
def test_other_weights_and_another_table_give_the_graph_that_a_new_trace_gives(name: str) -> None:
    graphs(net(name, seed=1))
    other = net(name, seed=2, rows=33)
    reused = graphs(other)
    assert len(tracing._traced) == 4
    tracing._traced.clear()
    for first, second in zip(reused, graphs(other), strict=True):
        assert first.graph.node == second.graph.node
        assert list(first.graph.initializer) == list(second.graph.initializer)
        assert list(first.graph.input) == list(second.graph.input)
        assert list(first.graph.output) == list(second.graph.output)


def scores(of: Any, calibration: Any = LINE) -> Any:
    """The graph of only its scores."""
    outputs = ["logit"] if calibration is None else ["probability", "logit"]
    return trace(PredictGraph(of, calibration), WHOLE, outputs)


def test_another_line_of_calibration_is_laid_into_the_same_graph() -> None:
    of = net("fm")
    scores(of)
    graph = scores(of, Calibration(scale=0.5, shift=3.0)).graph
    assert len(tracing._traced) == 1
    (line,) = (t for t in graph.initializer if t.name == "calibrate.correction")
    assert onnx.numpy_helper.to_array(line).tolist() == [0.5, 3.0]


@pytest.mark.parametrize(
    "change", [{"embedding": 5}, {"attention": 4}, {"fields": (0, 1, 2, 2)}], ids=str
)
def test_another_structure_is_traced_anew(change: Any) -> None:
    scores(net("afm+"))
    given = scores(net("afm+", **change))
    assert len(tracing._traced) == 2
    tracing._traced.clear()
    assert given == scores(net("afm+", **change))


@pytest.mark.parametrize("calibration", [None, KNOTS])
def test_another_kind_of_calibration_is_traced_anew(calibration: Any) -> None:
    of = net("lr")
    scores(of)
    given = scores(of, calibration)
    assert len(tracing._traced) == 2
    tracing._traced.clear()
    assert given == scores(of, calibration)


def test_other_slots_of_the_ads_are_traced_anew() -> None:
    of = net("fwfm")
    one, two = (
        trace(
            RankGraph(of, LINE, candidate), inputs_of_rank(of, candidate), ["probability", "logit"]
        )
        for candidate in (CANDIDATE, (True, False, True, False))
    )
    assert len(tracing._traced) == 2
    assert one != two


def test_kept_graphs_hold_no_weights_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "KEPT", 2)
    for size in (2, 3, 4):
        scores(net("fm", embedding=size))
    assert len(tracing._traced) == 2
    for graph in tracing._traced.values():
        floats = [t for t in graph.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
        assert len(floats) == 4
        assert all(not tensor.raw_data for tensor in floats)


def test_a_table_beyond_2_gb_goes_into_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[int] = []
    whole_trace = tracing._trace

    def counted(module: Any, *given: Any) -> Any:
        traced.append(module.net.embedding.numel())
        return whole_trace(module, *given)

    monkeypatch.setattr(tracing, "_trace", counted)
    of = net("fm", rows=5)
    table = torch.empty(1, 4).expand(2**28, 4)  # one row, over and over: 4 GB
    of.embedding.data = table
    names = {"net.embedding", "net.linear"}
    graph = trace(PredictGraph(of, LINE), WHOLE, ["probability", "logit"], names)
    assert of.embedding.data.data_ptr() == table.data_ptr()
    assert traced == [4 * tracing.TRACED_ROWS]
    (embedding,) = (t for t in graph.graph.initializer if t.name == "net.embedding")
    assert list(embedding.dims) == [2**28, 4]
    assert not embedding.raw_data
    assert graph.ByteSize() < 100_000


def test_a_graph_in_use_is_not_the_one_that_is_kept() -> None:
    of = net("lr")
    given = scores(of)
    del given.graph.node[:]
    again = scores(of)
    assert again.graph.node
    held = {t.name: onnx.numpy_helper.to_array(t) for t in again.graph.initializer}
    np.testing.assert_array_equal(held["net.linear"], of.linear.detach().numpy())
