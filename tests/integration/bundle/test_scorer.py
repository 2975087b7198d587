"""A bundle's graphs run in slices: the same scores and terms, whatever the slices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.bundle.bundle import Bundle
from model.encoding import Encoded
from model.errors import BundleError
from model.scorer import FEWEST_ROWS, ScoreTerms
from narrowing import not_none
from tiny import tiny_rows

ROWS = [{k: v for k, v in row.items() if k != "click"} for row in tiny_rows(150, seed=4)]


@pytest.fixture(scope="module")
def encoded(tiny_bundle: Bundle) -> Any:
    return tiny_bundle.read_encoder().encode(ROWS)


@pytest.fixture
def scorer(tiny_bundle: Bundle) -> Any:
    return tiny_bundle.read_scorer()


@pytest.mark.parametrize("size", [1, 7, 149, 150, 151])
def test_slices_of_any_size_give_the_scores_of_one_run(
    scorer: Any, encoded: Any, size: int
) -> None:
    whole = scorer.predict_plainly(encoded)
    scorer.slice_rows = size
    found = scorer.predict_plainly(encoded)
    np.testing.assert_allclose(found.logits, whole.logits, atol=1e-6)
    np.testing.assert_allclose(found.probabilities, whole.probabilities, atol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 150])
def test_slices_of_any_size_give_the_terms_of_one_run(scorer: Any, encoded: Any, size: int) -> None:
    whole = scorer.explain(encoded)
    scorer.slice_rows = size
    for found, expected in zip(scorer.explain(encoded), whole, strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rows_keep_their_order(scorer: Any, encoded: Any) -> None:
    turned = Encoded(encoded.ids[::-1].copy(), encoded.values[::-1].copy())
    np.testing.assert_allclose(
        scorer.predict(turned).logits[::-1], scorer.predict(encoded).logits, atol=1e-6
    )


def test_scores_are_float32_vectors_and_probabilities_lie_between_0_and_1(
    scorer: Any, encoded: Any
) -> None:
    scores = scorer.predict(encoded)
    for part in scores:
        assert (part.shape, part.dtype) == ((150,), np.float32)
    assert 0 < scores.probabilities.min() < scores.probabilities.max() < 1
    assert scores.predictions is scores.probabilities


def test_a_task_without_probabilities_is_predicted_by_its_scores(
    make_bundle: Callable[..., Bundle],
) -> None:
    bundle = make_bundle("fm", task="regression")
    scores = bundle.read_scorer().predict(bundle.read_encoder().encode(ROWS))
    assert scores.probabilities is None
    assert scores.predictions is scores.logits


def test_no_rows_have_no_scores(scorer: Any, encoded: Any) -> None:
    scores = scorer.predict(encoded.slice(0, 0))
    assert [len(part) for part in scores] == [0, 0]


@pytest.mark.parametrize("bad", [-1, 10**6, 2**40])
@pytest.mark.parametrize("called", ["predict", "explain"])
def test_an_id_outside_the_table_is_refused_and_not_read(
    scorer: Any, encoded: Any, bad: Any, called: str
) -> None:
    ids = encoded.ids.copy()
    ids[-1, 0] = bad
    with pytest.raises(BundleError, match="outside the embedding table"):
        getattr(scorer, called)(Encoded(ids, encoded.values))


def test_slices_are_never_so_small_that_calls_outweigh_the_work(scorer: Any) -> None:
    assert scorer.slice_rows >= FEWEST_ROWS
    assert scorer.rank_slice_rows >= FEWEST_ROWS


@pytest.mark.parametrize("net", ["lr", "fm", "nfm", "afm", "afm+"])
def test_terms_are_those_that_the_net_has(make_bundle: Callable[..., Bundle], net: str) -> None:
    bundle = make_bundle(net)
    encoded = bundle.read_encoder().encode(ROWS)
    terms = bundle.read_scorer().explain(encoded)
    slots = encoded.ids.shape[1]
    pairs = 0 if net == "lr" else slots * (slots - 1) // 2
    assert terms.linear.shape == (150, slots)
    assert (terms.interaction is None) == (net == "nfm")  # which is no sum over pairs
    assert (terms.attention is not None) == (net in ("afm", "afm+"))
    assert net == "nfm" or not_none(terms.contribution).shape == (150, pairs)


def test_a_contribution_is_attention_times_interaction_or_interaction_alone() -> None:
    linear, two = np.zeros((1, 3), np.float32), np.array([[2.0, 3.0]], np.float32)
    half = np.full((1, 2), 0.5, np.float32)
    assert not_none(ScoreTerms(linear, two, half).contribution).tolist() == [[1.0, 1.5]]
    assert ScoreTerms(linear, two, None).contribution is two
    assert ScoreTerms(linear, None, None).contribution is None
