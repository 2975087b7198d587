"""The rank graph: one context with its ads scores as the whole rows do, for every net."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.encoding import Encoded, Encoder, Slate
from model.errors import BundleError, ParityError
from model.manifest import Calibration, Dimensions
from model.nets import NETS, NetSizes, build
from model.nets.graphs import PredictGraph
from model.nets.rank_graphs import AdsGraph, RankGraph
from model.schema import Schema
from model.scorer import Scorer, Scores
from model.vocabulary import fit_vocabulary
from training.export.onnx_graphs import check_parity, edge_cases, export

V = 60
FIELDS = [0, 1, 2, 2, 2, 3, 4, 5, 5]  # fields 2 and 5 are multi-valued
F = len(FIELDS)
SPLITS = {
    "interleaved": [field in (1, 2, 4) for field in FIELDS],
    "one ad slot": [field == 4 for field in FIELDS],
    "one context slot": [field != 0 for field in FIELDS],
    "context behind the ads": [field < 3 for field in FIELDS],
}
CALIBRATION = Calibration(scale=1.3, shift=-0.2)


def net_of(name: Any, seed: Any = 0) -> Any:
    torch.manual_seed(seed)
    net = build(name, V, FIELDS, NetSizes(embedding=5, attention=4, hidden=(6,))).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.6)
    return net


def shared_rows(count: Any, candidate: Any, absent: Any = 0.3, seed: Any = 0) -> Any:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, (count, F))
    values = rng.normal(size=(count, F)).astype(np.float32)
    values[rng.random((count, F)) < absent] = 0
    ours = ~np.array(candidate)
    ids[:, ours], values[:, ours] = ids[:1, ours], values[:1, ours]
    return Encoded(ids, values)


def slate_of(encoded: Any, candidate: Any) -> Any:
    ads = np.array(candidate)
    context = Encoded(encoded.ids[:1, ~ads], encoded.values[:1, ~ads])
    return Slate(context, Encoded(encoded.ids[:, ads], encoded.values[:, ads]))


def shared_slate(*arguments: Any, **options: Any) -> Any:
    return slate_of(shared_rows(*arguments, **options), arguments[1])


def ranked(net: Any, encoded: Any, candidate: Any, calibration: Any = CALIBRATION) -> Any:
    slate = slate_of(encoded, candidate)
    sides = [
        torch.from_numpy(array)
        for side in (slate.context, slate.ads)
        for array in (side.ids, side.values)
    ]
    with torch.no_grad():
        (alone,) = AdsGraph(net, candidate).eval()(*sides[2:])
        found = RankGraph(net, calibration, candidate).eval()(*sides, alone)
    return [tensor.numpy() for tensor in found]


def whole(net: Any, encoded: Any, calibration: Any = CALIBRATION) -> Any:
    graph = PredictGraph(net, calibration).eval()
    with torch.no_grad():
        found = graph(torch.from_numpy(encoded.ids), torch.from_numpy(encoded.values))
    return [tensor.numpy() for tensor in found]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", NETS)
def test_one_context_with_its_ads_scores_as_whole_rows_do(name: Any, split: Any) -> None:
    net, candidate = net_of(name), SPLITS[split]
    encoded = shared_rows(13, candidate)
    for ours, theirs in zip(ranked(net, encoded, candidate), whole(net, encoded), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("absent", [0.0, 0.6, 0.9, 1.0])
def test_absent_features_take_no_part_on_either_side(name: Any, absent: float) -> None:
    net, candidate = net_of(name), SPLITS["interleaved"]
    for seed in range(5):
        encoded = shared_rows(9, candidate, absent, seed)
        logits = ranked(net, encoded, candidate)[1]
        assert np.isfinite(logits).all()
        np.testing.assert_allclose(logits, whole(net, encoded)[1], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["afm", "afm+"])
@pytest.mark.parametrize("side", ["context", "ads"])
def test_fewer_than_two_features_on_a_side_leave_no_nan(name: str, side: str) -> None:
    net, candidate = net_of(name), np.array(SPLITS["interleaved"])
    encoded = shared_rows(6, candidate, absent=0.0)
    slots = np.flatnonzero(candidate if side == "ads" else ~candidate)
    encoded.values[:, slots[1:]] = 0
    logits = ranked(net, encoded, candidate)[1]
    np.testing.assert_allclose(logits, whole(net, encoded)[1], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["afm", "afm+"])
def test_scores_far_apart_merge_without_overflow(name: str) -> None:
    net, candidate = net_of(name), SPLITS["interleaved"]
    with torch.no_grad():
        net.h.mul_(300)  # softmax scores of some thousands, of which exp alone is infinite
    encoded = shared_rows(11, candidate)
    logits = ranked(net, encoded, candidate)[1]
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits, whole(net, encoded)[1], rtol=1e-4, atol=1e-4)


def test_an_ad_scores_the_same_whatever_stands_beside_it() -> None:
    net, candidate = net_of("afm"), SPLITS["interleaved"]
    encoded = shared_rows(20, candidate)
    together = ranked(net, encoded, candidate)[1]
    alone = [ranked(net, encoded.slice(i, i + 1), candidate)[1][0] for i in range(20)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


# --- exported ---------------------------------------------------------------------------------


def scorer_of(net: Any, directory: Any, candidate: Any, calibration: Any = CALIBRATION) -> Any:
    export(net, calibration, candidate, directory)
    sizes = net.sizes
    dimensions = Dimensions(rows=V, slots=F, **sizes)
    return Scorer(directory, dimensions, float(net.bias.detach()), candidate)


@pytest.mark.parametrize("name", NETS)
def test_the_exported_graph_agrees_for_any_number_of_ads(tmp_path: Path, name: Any) -> None:
    net, candidate = net_of(name), SPLITS["interleaved"]
    scorer = scorer_of(net, tmp_path, candidate)
    for count in (1, 2, 7, 333):
        encoded = shared_rows(count, candidate, seed=count)
        scores = scorer.rank(slate_of(encoded, candidate))
        probabilities, logits = whole(net, encoded)
        np.testing.assert_allclose(scores.logits, logits, rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(scores.probabilities, probabilities, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_an_ads_own_part_has_the_same_bits_wherever_it_stands(tmp_path: Path, name: Any) -> None:
    # odd sizes (five slots, K = 5), so that no two rows of anything begin at the same alignment
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of(name), tmp_path, candidate)
    ads = slate_of(shared_rows(40, candidate), candidate).ads
    by_itself = np.concatenate([scorer.ad_partials(ads.slice(i, i + 1)) for i in range(40)])
    rng = np.random.default_rng(1)
    for count in (2, 7, 16, 33, 40):
        order = rng.permutation(40)[:count]
        found = scorer.ad_partials(Encoded(ads.ids[order], ads.values[order]))
        assert found.tolist() == by_itself[order].tolist()


def test_more_ads_than_a_slice_score_as_its_slices_do(tmp_path: Path) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    scorer.rank_slice_rows = 16
    encoded = shared_rows(50, candidate)
    slates = [slate_of(encoded.slice(i, i + 16), candidate) for i in range(0, 50, 16)]
    parts = [scorer.rank(slate).logits for slate in slates]
    assert (
        scorer.rank(slate_of(encoded, candidate)).logits.tolist() == np.concatenate(parts).tolist()
    )


@pytest.mark.parametrize("candidate", [[True] * F, [False] * F], ids=["ads alone", "context alone"])
def test_a_schema_of_one_role_has_no_rank_graph_and_scores_plainly(
    tmp_path: Path, candidate: Any
) -> None:
    net = net_of("afm")
    scorer = scorer_of(net, tmp_path, candidate)
    assert not (tmp_path / "rank.onnx").exists()
    encoded = shared_rows(5, candidate)
    scorer.choose_graphs(slate_of(encoded, candidate))
    assert scorer.rank_from is None
    np.testing.assert_allclose(scorer.predict(encoded).logits, whole(net, encoded)[1], rtol=2e-5)


def test_an_id_outside_the_table_is_refused_on_either_side(tmp_path: Path) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    for slot in (0, 1):
        for wrong in (-1, V):
            encoded = shared_rows(3, candidate)
            encoded.ids[:, slot] = wrong
            with pytest.raises(BundleError, match="outside the embedding table"):
                scorer.rank(slate_of(encoded, candidate))


def test_the_gate_refuses_a_rank_graph_of_another_net(tmp_path: Path) -> None:
    candidate = SPLITS["interleaved"]
    net = net_of("afm")
    scorer = scorer_of(net, tmp_path, candidate)
    (tmp_path / "other").mkdir()
    other = scorer_of(net_of("afm", seed=1), tmp_path / "other", candidate)
    scorer.rank = other.rank
    real = shared_rows(30, candidate)
    cases = edge_cases(real.ids, real.values, np.zeros(F, np.int64), V, candidate)
    with pytest.raises(ParityError, match="one context: ranked"):
        check_parity(net, CALIBRATION, scorer, cases)


# --- which graph ------------------------------------------------------------------------------


def counted(scorer: Scorer) -> list[str]:
    """The names of its methods that score, as they are called."""
    calls: list[str] = []

    def watched(name: str) -> Callable[[Any], Scores]:
        method: Callable[[Any], Scores] = getattr(scorer, name)

        def call(encoded: Any) -> Scores:
            calls.append(name)
            return method(encoded)

        return call

    for name in ("rank", "predict_plainly"):
        setattr(scorer, name, watched(name))
    return calls


def fifty_times(score: Any) -> Any:
    def slowly(encoded: Any) -> Any:
        for _ in range(49):
            score(encoded)
        return score(encoded)

    return slowly


def test_rows_of_one_context_go_through_the_rank_graph_from_the_chosen_number_on(
    tmp_path: Path,
) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    scorer.rank_from = 4
    calls = counted(scorer)
    for count in (3, 4, 5):
        scorer.predict(shared_slate(count, candidate))
    assert calls == ["predict_plainly", "rank", "rank"]


def test_instances_never_use_the_rank_graph(tmp_path: Path) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    scorer.rank_from = 1
    calls = counted(scorer)
    encoded = shared_rows(8, candidate)
    scorer.predict(Encoded(encoded.ids, encoded.values))
    assert calls == ["predict_plainly"]


def test_a_slower_rank_graph_is_never_chosen(tmp_path: Path) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    rank = scorer.rank
    scorer.rank = fifty_times(rank)
    scorer.choose_graphs(shared_slate(8, candidate))
    assert scorer.rank_from is None


def test_a_faster_one_is_chosen_for_every_number(tmp_path: Path) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    plainly = scorer.predict_plainly
    scorer.predict_plainly = fifty_times(plainly)
    scorer.choose_graphs(shared_slate(8, candidate))
    assert scorer.rank_from == 1


# --- requests ---------------------------------------------------------------------------------

SCHEMA = """
label = "click"
[fields.device]
kind = "categorical"
[fields.ad]
kind = "categorical"
role = "candidate"
"""


@pytest.fixture
def encoder() -> Any:
    schema = Schema.parse(SCHEMA)
    seen = {"device": ["phone", "tv"] * 3, "ad": ["a", "b"] * 3}
    return Encoder(
        schema, {name: fit_vocabulary(field, seen[name]) for name, field in schema.fields.items()}
    )


def test_a_context_and_its_ads_come_apart(encoder: Any) -> None:
    context, ads = {"device": "phone", "x": 1}, [{"ad": "a"}, {"ad": "?", "y": 2}]
    apart = Slate(encoder.encode_context(context), encoder.encode_ads(ads))
    whole = encoder.encode_request(context, ads)
    assert apart.context.ids.tolist() == whole.ids[:1, :1].tolist()
    assert apart.ads.ids.tolist() == whole.ids[:, 1:].tolist()
    assert apart.ads.unknown == whole.unknown == {"ad": 1}
    assert apart.context.ignored + apart.ads.ignored == whole.ignored == 2


@pytest.mark.parametrize("context", [{}, {"x": 1}, {"device": "phone", "ad": "a"}, {"ad": "a"}])
def test_a_context_without_fields_of_its_own_or_with_an_ads_does_not(
    encoder: Any, context: Any
) -> None:
    assert encoder.encode_context(context) is None


def test_an_ad_that_overrides_the_context_does_not(encoder: Any) -> None:
    assert encoder.encode_ads([{"ad": "a"}, {"ad": "b", "device": "tv"}]) is None
