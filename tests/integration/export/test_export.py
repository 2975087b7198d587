"""Torch and onnxruntime agree on each graph of each net, or the gate refuses it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.bundle.files import EXPLAIN, PREDICT, RANK, WEIGHTS
from model.encoding import Encoded, Slate
from model.errors import BundleError, ParityError
from model.manifest import Calibration, Dimensions
from model.nets import NETS, NetSizes, build
from model.nets.graphs import PredictGraph
from model.scorer import Scorer
from narrowing import not_none
from tiny import TINY_ADS, TINY_SLOTS
from training.export.onnx_graphs import check_parity, edge_cases, export
from training.fit.calibration import apply

# slots and sizes of the shared bundles, so that a session traces their graphs once
FIELDS, CANDIDATE = TINY_SLOTS, TINY_ADS
V, F = 70, len(FIELDS)


def exported(
    directory: Any, name: Any = "afm", rows: Any = V, calibration: Any = None, embedding: Any = 4
) -> Any:
    torch.manual_seed(0)
    sizes = NetSizes(embedding=embedding, attention=4, ffm_embedding=embedding)
    net = build(name, rows, FIELDS, sizes)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.5)
    export(net, calibration or Calibration(), CANDIDATE, directory)
    dimensions = Dimensions(rows=rows, slots=F, embedding=embedding, attention=4)
    return net, Scorer(directory, dimensions, float(net.bias.detach()), CANDIDATE)


def rows(count: Any, seed: Any = 0, top: Any = V) -> Any:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, F)).astype(np.float32)
    values[rng.random((count, F)) < 0.3] = 0
    return Encoded(rng.integers(0, top, (count, F)), values)


def cases() -> Any:
    real = rows(300)
    return edge_cases(real.ids, real.values, np.arange(F) * 10, V, CANDIDATE)


@pytest.mark.parametrize("name", NETS)
def test_torch_and_onnxruntime_agree_on_every_edge_case(tmp_path: Path, name: Any) -> None:
    net, scorer = exported(tmp_path, name)
    named = {
        *(f"batch of {size}" for size in (1, 2, 7, 1000)),
        "nothing present",
        "all missing",
        "all unknown",
        "one present feature",
        "last row of the table",
    }
    assert set(cases()) == named | {f"{name}, one context" for name in named}
    assert check_parity(net, Calibration(), scorer, cases()) <= 1e-5


def test_the_explain_graph_gives_what_the_net_has(tmp_path: Path) -> None:
    given = {}
    for name in NETS:
        (tmp_path / name).mkdir()
        terms = exported(tmp_path / name, name)[1].explain(rows(3))
        given[name] = (terms.interaction is not None, terms.attention is not None)
    attention, pairs, neither = (True, True), (True, False), (False, False)
    assert given == {
        "lr": pairs,
        "fm": pairs,
        "fwfm": pairs,
        "ffm": pairs,
        "nfm": neither,
        "afm": attention,
        "afm+": attention,
    }


def test_the_gate_looks_at_linear_terms_where_there_are_no_pairs_to_add_up(tmp_path: Path) -> None:
    net, scorer = exported(tmp_path, "nfm")
    (tmp_path / "other").mkdir()
    with torch.no_grad():
        net.linear.add_(0.01)
    export(net, Calibration(), CANDIDATE, tmp_path / "other")
    with torch.no_grad():
        net.linear.sub_(0.01)
    dimensions = Dimensions(rows=V, slots=F, embedding=4, attention=0)
    scorer.explain = Scorer(tmp_path / "other", dimensions, scorer.bias, CANDIDATE).explain
    with pytest.raises(ParityError, match="linear terms"):
        check_parity(net, Calibration(), scorer, cases())


@pytest.mark.parametrize("what", ["embedding", "linear", "bias", "h"])
def test_the_gate_refuses_a_graph_of_other_weights(tmp_path: Path, what: str) -> None:
    net, scorer = exported(tmp_path)
    with torch.no_grad():
        getattr(net, what).mul_(1.01)
    with pytest.raises(ParityError, match="parity gate, batch of"):
        check_parity(net, Calibration(), scorer, cases())


def test_the_gate_refuses_terms_that_do_not_add_up(tmp_path: Path) -> None:
    net, scorer = exported(tmp_path)
    scorer.bias += 0.01
    with pytest.raises(ParityError, match="terms"):
        check_parity(net, Calibration(), scorer, cases())


def test_the_gate_refuses_nan(tmp_path: Path) -> None:
    net, scorer = exported(tmp_path)
    with torch.no_grad():
        net.p[0] = float("nan")
    with pytest.raises(ParityError):
        check_parity(net, Calibration(), scorer, cases())


def test_all_graphs_read_their_parameters_from_the_one_weights_file(tmp_path: Path) -> None:
    net, _ = exported(tmp_path)
    size = (tmp_path / WEIGHTS).stat().st_size
    for name in (PREDICT, RANK, EXPLAIN):
        graph = onnx.load_model(tmp_path / name, load_external_data=False).graph
        outside = {tensor.name for tensor in graph.initializer if tensor.external_data}
        assert outside == {f"net.{parameter}" for parameter, _ in net.named_parameters()} - (
            {"net.bias"} if name == EXPLAIN else set()
        )
        for tensor in graph.initializer:
            where = {entry.key: entry.value for entry in tensor.external_data}
            if where:
                assert int(where["offset"]) % 4096 == 0
                assert int(where["offset"]) + int(where["length"]) <= size


def test_a_batch_larger_than_a_slice_scores_as_its_slices_do(tmp_path: Path) -> None:
    _, scorer = exported(tmp_path)
    scorer.slice_rows = 16
    many = rows(100)
    whole = scorer.predict(many)
    apart = [scorer.predict(many.slice(i, i + 16)) for i in range(0, 100, 16)]
    assert np.array_equal(whole.logits, np.concatenate([part.logits for part in apart]))
    terms = scorer.explain(many)
    assert terms.linear.shape == (100, F)
    assert terms.interaction.shape == (100, F * (F - 1) // 2)


def test_no_rows_have_no_scores(tmp_path: Path) -> None:
    _, scorer = exported(tmp_path)
    assert scorer.predict(rows(0)).probabilities.shape == (0,)


@pytest.mark.parametrize("bad", [-1, V, 2**40])
def test_an_id_outside_the_table_never_reaches_the_graph(tmp_path: Path, bad: Any) -> None:
    _, scorer = exported(tmp_path)
    encoded = rows(3)
    encoded.ids[1, 2] = bad
    for score in (scorer.predict, scorer.explain):
        with pytest.raises(BundleError, match="outside the embedding table"):
            score(encoded)


KNOTS = Calibration(rate=0.5, knots=[-2.0, 0.0, 0.3, 4.0], levels=[-3.0, -0.4, 0.9, 1.0])
CALIBRATIONS = [
    Calibration(),
    Calibration(rate=0.1),
    Calibration(scale=0.4),
    Calibration(rate=0.25, scale=0.8, shift=-0.3),
    KNOTS,
]


@pytest.mark.parametrize(("name", "calibrated"), [*((net, 0) for net in NETS), ("lr", -1)])
def test_a_row_has_the_same_bits_whatever_rows_are_beside_it(
    tmp_path: Path, name: Any, calibrated: Any
) -> None:
    # 6 slots and K = 5: no two rows of anything begin at the same alignment
    _, scorer = exported(tmp_path, name, calibration=CALIBRATIONS[calibrated])
    many, ads = rows(60), np.array(CANDIDATE)
    context = Encoded(many.ids[:1, ~ads], many.values[:1, ~ads])
    of_ads = Encoded(many.ids[:, ads], many.values[:, ads])
    for score, all_rows in (
        (scorer.predict, many),
        (lambda some: scorer.rank(Slate(context, some)), of_ads),
    ):
        whole = score(all_rows)
        for count in (1, 3, 25):
            parts = [score(all_rows.slice(at, at + count)) for at in range(0, 60, count)]
            logits = np.concatenate([part.logits for part in parts])
            chances = np.concatenate([part.probabilities for part in parts])
            if name in ("afm", "afm+"):  # products of matrices score their pairs
                assert np.abs(chances - whole.probabilities).max() <= 1e-7
            else:
                assert logits.tolist() == whole.logits.tolist()
                assert chances.tolist() == whole.probabilities.tolist()


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_the_graph_corrects_for_sampling_and_calibrates(tmp_path: Path, calibration: Any) -> None:
    net, scorer = exported(tmp_path, calibration=calibration)
    assert check_parity(net, calibration, scorer, cases()) <= 1e-5
    probabilities, logits = scorer.predict(rows(200))
    expected = 1 / (1 + np.exp(-apply(calibration, logits.astype(np.float64))))
    assert probabilities.tolist() == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("calibration", [KNOTS, Calibration(scale=0.4, shift=1.0)])
def test_the_gate_looks_at_probabilities(tmp_path: Path, calibration: Any) -> None:
    net, scorer = exported(tmp_path, calibration=calibration)
    other = calibration.model_copy(update={"rate": calibration.rate * 0.99})
    with pytest.raises(ParityError, match="probabilities"):
        check_parity(net, other, scorer, cases())


@given(
    st.lists(st.floats(0.01, 5), min_size=2, max_size=20),
    st.lists(st.floats(1e-3, 20), min_size=20, max_size=20),
)
def test_the_knots_of_a_graph_never_turn_a_ranking_round(widths: Any, slopes: Any) -> None:
    knots = np.cumsum(widths) - 10
    levels = np.cumsum(np.diff(knots, prepend=-10) * slopes[: len(knots)])
    calibration = Calibration(knots=knots.tolist(), levels=levels.tolist())
    graph = PredictGraph(build("lr", 5, range(2), NetSizes()), calibration)
    logits = torch.linspace(-12, 100, 20_001)  # steps where float32 loses bits
    found = not_none(graph.calibrate)(logits).detach()
    assert (found.diff() >= 0).all()
    expected = apply(calibration, logits.double().numpy())
    off = np.abs(found.double().numpy() - expected)
    assert (off <= 1e-4 * np.maximum(1, np.abs(expected))).all()


@pytest.mark.parametrize("name", NETS)
def test_a_graph_without_calibration_gives_the_score_alone(tmp_path: Path, name: Any) -> None:
    torch.manual_seed(0)
    net = build(name, V, FIELDS, NetSizes(embedding=4, attention=4))
    export(net, None, CANDIDATE, tmp_path)
    dimensions = Dimensions(rows=V, slots=F, embedding=4, attention=4)
    scorer = Scorer(tmp_path, dimensions, 0.0, CANDIDATE)
    assert check_parity(net, None, scorer, cases()) <= 1e-5
    scores = scorer.predict(rows(20))
    assert not scorer.has_probabilities
    assert scores.probabilities is None
    assert scores.predictions is scores.logits
    assert scorer.predict(rows(0)).predictions.shape == (0,)
    with pytest.raises(ParityError, match="one of torch and onnxruntime has probabilities"):
        check_parity(net, Calibration(), scorer, cases())


def test_negatives_kept_at_a_rate_are_corrected_to_the_true_odds() -> None:
    net = build("lr", 5, range(2), NetSizes())
    ids, values = torch.zeros(1, 2, dtype=torch.int64), torch.ones(1, 2)
    with torch.no_grad():
        net.bias.fill_(
            float(np.log(0.2 / 0.8))
        )  # the odds 1 : 4 of a log with a tenth of negatives
    probability, _ = PredictGraph(net, Calibration(rate=0.1))(ids, values)
    assert probability.tolist() == pytest.approx([1 / 41])


@pytest.mark.parametrize("name", ["lr", "fm", "afm"])
def test_ids_beyond_what_float32_can_tell_apart_keep_their_rows(tmp_path: Path, name: str) -> None:
    rows_of_table = 2**24 + 12
    net, scorer = exported(tmp_path, name, rows=rows_of_table, embedding=1)
    ids = np.arange(rows_of_table - 4 * F, rows_of_table, dtype=np.int64).reshape(4, F)
    encoded = Encoded(ids, np.ones((4, F), np.float32))
    ads = np.array(CANDIDATE)
    context = Encoded(ids[:1, ~ads], encoded.values[:1, ~ads])
    slate = Slate(context, Encoded(ids[:, ads], encoded.values[:, ads]))
    assert scorer.has_rank
    check_parity(net, Calibration(), scorer, {"beyond 2^24": encoded, "one context": slate})
    assert len(set(scorer.explain(encoded).linear.flatten().tolist())) == 4 * F
    assert len(set(scorer.rank(slate).logits.tolist())) == 4
