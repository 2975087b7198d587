"""The rank graph: one context with its ads scores as the whole rows do, for every net."""

from typing import Any

import numpy as np
import pytest
import torch

from model.nets import NETS
from rank_rows import SPLITS, net_of, ranked, shared_rows, whole


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
    net, candidate = net_of(name), SPLITS["interleaved"]
    encoded = shared_rows(6, candidate, absent=0.0)
    slots = [slot for slot, of_ads in enumerate(candidate) if of_ads == (side == "ads")]
    encoded.values[:, slots[1:]] = 0
    logits = ranked(net, encoded, candidate)[1]
    np.testing.assert_allclose(logits, whole(net, encoded)[1], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["afm", "afm+"])
def test_scores_far_apart_merge_without_overflow(name: str) -> None:
    net, candidate = net_of(name), SPLITS["interleaved"]
    with torch.no_grad():
        net.get_parameter("h").mul_(300)  # softmax scores of some thousands, whose exp is infinite
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
