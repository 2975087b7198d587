"""Figures of attention that was made to mean something, nothing, or the contrary."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from model.encoding import Encoded
from narrowing import not_none
from training.evaluation.faithfulness import faithfulness
from training.evaluation.pair_effects import PairTerms

ROWS, PAIRS = 300, 45


def terms(attention: Any, seed: int = 0, present: Any = None) -> Any:
    rng = np.random.default_rng(seed)
    contribution = rng.normal(0, 1, (ROWS, PAIRS)) * (rng.random((ROWS, PAIRS)) < 0.2)
    present = np.ones((ROWS, PAIRS), bool) if present is None else present
    contribution = contribution * present
    encoded = Encoded(np.zeros((ROWS, 10), np.int64), np.ones((ROWS, 10), np.float32))
    given = None
    interaction = contribution
    if attention is not None:
        given = attention(np.abs(contribution), rng) * present
        given = given / given.sum(1, keepdims=True).clip(1e-30)
        interaction = np.divide(contribution, given, out=np.zeros_like(given), where=given > 0)
        given = given.astype(np.float32)
    return PairTerms(
        encoded, interaction.astype(np.float32), contribution.astype(np.float32), given, present
    )


def test_attention_in_the_order_of_contributions_goes_all_the_way() -> None:
    found = not_none(faithfulness(terms(lambda size, rng: size + 1e-3 * rng.random(size.shape))))
    assert found.share == pytest.approx(1.0, abs=0.02)
    assert "means something" in found.sentence()
    assert not_none(found.gain)[1] > 0


def test_attention_at_random_is_said_to_mean_nothing() -> None:
    found = not_none(faithfulness(terms(lambda size, rng: rng.random(size.shape))))
    assert abs(not_none(found.share)) < 0.2
    assert "does not say which pairs matter" in found.sentence()


def test_attention_on_the_pairs_that_do_not_matter_is_said_to_mislead() -> None:
    found = not_none(
        faithfulness(terms(lambda size, rng: 1 / (0.01 + size) + rng.random(size.shape)))
    )
    assert not_none(found.gain)[2] < 0
    assert "misleads" in found.sentence()


def test_attention_that_sometimes_looks_the_right_way_means_little() -> None:
    def partly(size: Any, rng: Any) -> Any:
        looks = rng.random((ROWS, 1)) < 0.3
        return np.where(looks, size + 1e-3, rng.random(size.shape))

    found = not_none(faithfulness(terms(partly)))
    assert 0 < not_none(found.share) < 0.5
    assert "means little" in found.sentence()


def test_uniform_attention_is_no_choice_whatever_the_order_of_the_pairs() -> None:
    # stable sorting of ties would find the first pairs, and the first ones matter here
    found = terms(lambda size, _: np.ones(size.shape))
    order = np.argsort(-np.abs(found.contribution), axis=1)
    sorted_terms = PairTerms(
        found.encoded,
        np.take_along_axis(found.interaction, order, 1),
        np.take_along_axis(found.contribution, order, 1),
        found.attention,
        found.present,
    )
    tried = not_none(faithfulness(sorted_terms))
    assert abs(not_none(tried.share)) < 0.2
    assert tried.effective == pytest.approx(1.0)
    assert tried.flattened == pytest.approx(0.0, abs=1e-4)
    assert "hardly differ" in tried.sentence()


def test_nearly_equal_weights_are_no_choice_even_in_the_right_order() -> None:
    tried = not_none(faithfulness(terms(lambda size, _: 1 + 1e-3 * size)))
    assert tried.share == pytest.approx(1.0, abs=0.02)
    assert 0.99 < not_none(tried.effective) < 1
    assert tried.sentence().startswith("This model's attention hardly tells pairs apart")
    assert "means" not in tried.sentence()


def test_no_choice_of_pairs_moves_the_logit_further_than_the_upper_curve() -> None:
    found = terms(None, seed=3)
    few = PairTerms(
        found.encoded,
        found.interaction[:, :8],
        found.interaction[:, :8],
        None,
        found.present[:, :8],
    )
    tried = not_none(faithfulness(few))
    for k in (1, 2, 3, 5):
        furthest = [
            max(abs(sum(choice)) for choice in combinations(row.tolist(), k))
            for row in few.contribution
        ]
        assert tried.contributing.mean[k - 1] == pytest.approx(np.mean(furthest), abs=1e-6)


def test_attention_never_lies_above_the_upper_curve_nor_goes_more_than_all_the_way() -> None:
    # in the order of signed contributions it moves the logit further than that of their size does
    found = terms(None)
    attention = np.exp(found.contribution)
    attention = (attention / attention.sum(1, keepdims=True)).astype(np.float32)
    interaction = (found.contribution / attention).astype(np.float32)
    tried = not_none(
        faithfulness(
            PairTerms(found.encoded, interaction, found.contribution, attention, found.present)
        )
    )
    by_size = np.take_along_axis(
        found.contribution, np.argsort(-np.abs(found.contribution), axis=1)[:, :5], 1
    )
    assert not_none(tried.attended).mean[4] > np.abs(by_size.sum(1)).mean()
    assert (not_none(tried.attended).mean <= tried.contributing.mean + 1e-9).all()
    assert not_none(tried.share) < 1


def test_faithfulness_without_pairs_is_that_of_the_whole() -> None:
    found = terms(None, seed=3)
    tried = not_none(faithfulness(found))
    assert tried.whole == pytest.approx(np.abs(found.contribution.sum(1)).mean(), rel=1e-5)


def test_faithfulness_sentence_says_that_there_is_no_attention() -> None:
    tried = not_none(faithfulness(terms(None)))
    assert (tried.attended, tried.share, tried.effective) == (None, None, None)
    assert tried.sentence().startswith("This net has no attention.")


def test_pairs_that_are_not_there_are_not_drawn() -> None:
    present = np.zeros((ROWS, PAIRS), bool)
    present[:, :3] = True
    tried = not_none(
        faithfulness(terms(lambda size, rng: rng.random(size.shape) + 0.1, present=present))
    )
    # all three are gone by the third removal, whatever the order
    for removal in (tried.attended, tried.random, tried.contributing):
        assert not_none(removal).mean[2:] == pytest.approx(tried.whole)
    assert tried.at == 1


def test_rows_of_fewer_than_two_pairs_have_nothing_to_choose() -> None:
    present = np.zeros((ROWS, PAIRS), bool)
    present[:, 0] = True
    assert faithfulness(terms(None, present=present)) is None
    present[:7, 1] = True
    assert not_none(faithfulness(terms(None, present=present))).rows == 7


def test_the_same_seed_gives_the_same_figures() -> None:
    made = terms(lambda size, rng: rng.random(size.shape))
    one, two, other = (faithfulness(made, seed) for seed in (1, 1, 2))
    assert np.array_equal(not_none(one).random.mean, not_none(two).random.mean)
    assert not np.array_equal(not_none(one).random.mean, not_none(other).random.mean)
