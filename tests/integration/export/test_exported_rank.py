"""The rank graph as it is exported: for any number of ads, and in slices of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.encoding import Encoded
from model.errors import BundleError, ParityError
from model.nets import NETS
from narrowing import not_none
from rank_rows import CALIBRATION, SPLITS, F, V, net_of, scorer_of, shared_rows, slate_of, whole
from training.export.onnx_graphs import check_parity, edge_cases


@pytest.mark.parametrize("name", NETS)
def test_the_exported_graph_agrees_for_any_number_of_ads(tmp_path: Path, name: Any) -> None:
    net, candidate = net_of(name), SPLITS["interleaved"]
    scorer = scorer_of(net, tmp_path, candidate)
    for count in (1, 2, 7, 333):
        encoded = shared_rows(count, candidate, seed=count)
        scores = scorer.rank(slate_of(encoded, candidate))
        probabilities, logits = whole(net, encoded)
        np.testing.assert_allclose(scores.logits, logits, rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(not_none(scores.probabilities), probabilities, atol=1e-5)


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


@pytest.mark.parametrize("candidate", [[True] * F, [False] * F], ids=["only ads", "only context"])
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


def test_the_gate_refuses_a_rank_graph_of_another_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = SPLITS["interleaved"]
    net = net_of("afm")
    scorer = scorer_of(net, tmp_path, candidate)
    (tmp_path / "other").mkdir()
    other = scorer_of(net_of("afm", seed=1), tmp_path / "other", candidate)
    monkeypatch.setattr(scorer, "rank", other.rank)
    real = shared_rows(30, candidate)
    cases = edge_cases(real.ids, real.values, np.zeros(F, np.int64), V, candidate)
    with pytest.raises(ParityError, match="one context: ranked"):
        check_parity(net, CALIBRATION, scorer, cases)
