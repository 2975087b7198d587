"""Calibration: each kind undoes the distortion it is made for, and none turns a ranking round."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from model.manifest import MOST_KNOTS, Calibration
from training.evaluation.curves import reliability
from training.fit.calibration import (
    CLOSEST,
    FITS,
    LEAST_SLOPE,
    MOST_SLOPE,
    apply,
    calibrate,
    isotonic,
    platt,
    pooled,
)


def drawn(scale: Any, shift: Any, rows: Any = 50_000, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, rows)
    chance = 1 / (1 + np.exp(-(scale * logits + shift)))
    return logits, (rng.random(rows) < chance).astype(np.float64), np.ones(rows)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, -1.0), (2.0, 0.7)])
def test_the_line_that_drew_the_labels_is_found(scale: float, shift: float) -> None:
    found = platt(*drawn(scale, shift))
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert found.shift == pytest.approx(shift, abs=0.05)


def test_the_mean_probability_is_the_click_rate_of_the_rows_it_was_fitted_on() -> None:
    logits, labels, weights = drawn(0.3, 1.0, rows=999)
    found = platt(logits, labels, weights)
    probabilities = 1 / (1 + np.exp(-(found.scale * logits + found.shift)))
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=1e-4)


def test_weights_count_as_repeated_rows() -> None:
    logits, labels, weights = drawn(0.7, 0.2, rows=500)
    weights[:100] = 3.0
    repeated = np.concatenate([np.arange(500), *[np.arange(100)] * 2])
    expected = platt(logits[repeated], labels[repeated], np.ones(700))
    found = platt(logits, labels, weights)
    assert found.scale == pytest.approx(expected.scale, rel=1e-6)
    assert found.shift == pytest.approx(expected.shift, rel=1e-6)


def test_logits_that_rank_the_wrong_way_round_are_left_as_they_are() -> None:
    logits, labels, weights = drawn(1.0, 0.0)
    assert platt(-logits, labels, weights) == Calibration()


def test_perfectly_separated_rows_give_a_finite_line() -> None:
    logits = np.array([-2.0, -1.0, 1.0, 2.0])
    found = platt(logits, np.array([0.0, 0, 1, 1]), np.ones(4))
    assert np.isfinite([found.scale, found.shift]).all()
    assert found.scale > 0


def test_equal_logits_give_a_finite_line() -> None:
    found = platt(np.full(10, 0.3), np.array([0.0, 1] * 5), np.ones(10))
    assert np.isfinite([found.scale, found.shift]).all()


def chances(logits: Any) -> Any:
    return 1 / (1 + np.exp(-logits))


def labelled(chance: Any, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.random(len(chance)) < chance).astype(np.float64)


def bent(logits: Any) -> Any:
    """A distortion that no line undoes: sure logits are much too sure."""
    return np.where(logits > 0, 0.2 * logits, 1.5 * logits)


DISTORTIONS = {
    "none": lambda x: x,
    "temperature": lambda x: 0.4 * x,
    "platt": lambda x: 0.8 * x - 1.5,
    "isotonic": bent,
}


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_the_simplest_kind_that_undoes_a_distortion_is_chosen(kind: Any) -> None:
    logits = np.random.default_rng(0).normal(-0.5, 2, 40_000)
    truth = DISTORTIONS[kind](logits)
    found = calibrate(logits, labelled(chances(truth)), np.ones(40_000))
    assert found.kind == kind
    assert found.losses.keys() == FITS.keys()
    middle = np.abs(logits) < 3  # beyond, few rows tell
    error = chances(apply(found.calibration, logits)) - chances(truth)
    assert np.abs(error[middle]).max() < (0.06 if kind == "isotonic" else 0.02)
    assert np.abs(error).mean() < 0.01


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_a_kind_that_is_asked_for_is_fitted_whatever_it_is_worth(kind: Any) -> None:
    logits = np.random.default_rng(0).normal(-0.5, 2, 3000)
    found = calibrate(logits, labelled(chances(bent(logits))), np.ones(3000), kind)
    assert (found.kind, dict(found.losses)) == (kind, {})
    assert bool(found.calibration.knots) == (kind == "isotonic")
    assert (found.calibration.scale != 1) == (kind in ("temperature", "platt"))
    assert (found.calibration.shift != 0) == (kind == "platt")


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_sampled_negatives_are_corrected_before_the_function_is_fitted(kind: Any) -> None:
    """A net fitted with a tenth of the negatives has log(10) too much in each logit."""
    truth = np.random.default_rng(0).normal(-2, 1.5, 40_000)
    labels = labelled(chances(truth))
    found = calibrate(truth - np.log(0.1), labels, np.ones(40_000), kind, rate=0.1)
    assert found.calibration.rate == 0.1
    probabilities = chances(apply(found.calibration, truth - np.log(0.1)))
    assert probabilities.mean() == pytest.approx(labels.mean(), rel=0.03)
    assert np.abs(probabilities - chances(truth)).mean() < 0.01


def test_isotonic_meets_the_click_rate_and_every_decile_of_the_rows_it_was_fitted_on() -> None:
    logits = np.random.default_rng(0).normal(-1, 2, 20_000)
    labels, ones = labelled(chances(bent(logits))), np.ones(20_000)
    probabilities = chances(apply(isotonic(logits, labels, ones), logits))
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=1e-6)
    assert not any(one.outside for one in reliability(labels, probabilities, ones))


def test_blocks_rise_and_are_few_and_hold_all_rows() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=50_000)
    labels, weights = labelled(chances(logits)), rng.integers(0, 4, 50_000).astype(float)
    blocks = pooled(logits, labels, weights)
    rates = blocks[:, 2] / blocks[:, 0]
    assert 10 < len(blocks) <= MOST_KNOTS
    assert (np.diff(rates) > 0).all()
    sums = [weights.sum(), weights @ logits, weights @ labels]
    assert blocks.sum(0).tolist() == pytest.approx(sums, rel=1e-9)


def test_pooling_is_the_least_squares_fit_that_never_falls() -> None:
    """Of all splits of the light blocks, none that rises is nearer to the labels."""
    rng = np.random.default_rng(2)
    logits = np.repeat(np.arange(7.0), 60)
    labels = labelled(rng.random(7).repeat(60))
    means = labels.reshape(7, 60).mean(1)

    def fitted(cuts: Any) -> Any:
        edges = [0, *cuts, 7]
        parts = itertools.pairwise(edges)
        return np.concatenate([np.full(b - a, means[a:b].mean()) for a, b in parts])

    splits = [[i + 1 for i in range(6) if bits >> i & 1] for bits in range(64)]
    rising = [fit for fit in map(fitted, splits) if (np.diff(fit) >= 0).all()]
    best = min(((fit - means) ** 2).sum() for fit in rising)
    blocks = pooled(logits, labels, np.ones(420))
    found = np.repeat(blocks[:, 2] / blocks[:, 0], (blocks[:, 0] / 60).astype(int))
    assert ((found - means) ** 2).sum() == pytest.approx(best, abs=1e-12)


@given(
    logits=arrays(np.float64, 300, elements=st.floats(-30, 30, width=32)),
    seed=st.integers(0, 100),
    kind=st.sampled_from(sorted(FITS)),
)
def test_no_kind_ever_turns_a_ranking_round(logits: Any, seed: int, kind: Any) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(300) < 0.3).astype(np.float64)
    found = FITS[kind](logits, labels, rng.integers(1, 5, 300).astype(np.float64))
    at = np.unique(np.concatenate([logits, np.linspace(-40, 40, 50)]).round(6))
    assert (np.diff(apply(found, at)) > 0).all()


def test_the_ends_of_an_isotonic_function_go_on_rising() -> None:
    logits = np.random.default_rng(0).normal(size=2000)
    found = isotonic(logits, labelled(chances(logits)), np.ones(2000))
    slopes = np.diff(found.levels) / np.diff(found.knots)
    assert slopes.min() >= LEAST_SLOPE * (1 - 1e-9)
    low, high = apply(found, np.array([found.knots[0] - 10, found.knots[-1] + 10]))
    assert low == pytest.approx(found.levels[0] - 10 * slopes[0])
    assert high == pytest.approx(found.levels[-1] + 10 * slopes[-1])


def test_logits_that_hardly_differ_make_no_cliff() -> None:
    logits = np.repeat([0.0, 1e-9, 1.0], 200)
    found = isotonic(logits, labelled(np.repeat([0.1, 0.8, 0.9], 200)), np.ones(600))
    slopes = np.diff(found.levels) / np.diff(found.knots)
    assert (slopes <= MOST_SLOPE * (1 + 1e-9)).all()
    assert np.diff(found.knots).min() >= CLOSEST


def test_isotonic_of_a_few_rows_is_plattss_line() -> None:
    logits, labels, weights = drawn(1.0, 0.0, rows=60)
    assert isotonic(logits, labels, weights) == platt(logits, labels, weights)


@pytest.mark.parametrize("labels", [[0.0] * 9, [1.0] * 9, [1.0] + [0.0] * 8])
def test_calibration_without_two_rows_of_each_class_corrects_only_the_sampling(labels: Any) -> None:
    found = calibrate(np.arange(9.0), np.array(labels), np.ones(9), "platt", rate=0.5)
    assert found.calibration == Calibration(rate=0.5)
    assert found.kind == "none"


def test_the_choice_is_the_same_for_the_same_seed() -> None:
    logits, labels, weights = drawn(0.9, 0.1, rows=800)
    one, two, other = (calibrate(logits, labels, weights, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one.losses != other.losses


@pytest.mark.parametrize(
    "given",
    [
        {"rate": 0.0},
        {"rate": 1.5},
        {"scale": 0.0},
        {"knots": [0.0], "levels": [0.0]},
        {"knots": [0.0, 1.0], "levels": [0.0]},
        {"knots": [1.0, 0.0], "levels": [0.0, 1.0]},
        {"knots": [0.0, 1.0], "levels": [1.0, 1.0]},
        {"knots": [0.0, 1.0], "levels": [0.0, 1.0], "scale": 2.0},
        {"knots": [float(i) for i in range(65)], "levels": [float(i) for i in range(65)]},
        {"knots": [0.0, float("inf")], "levels": [0.0, 1.0]},
    ],
)
def test_a_manifest_s_calibration_that_is_no_increasing_function_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        Calibration(**given)


def test_the_calibration_of_an_older_bundle_still_reads() -> None:
    found = Calibration.model_validate({"rate": 1.0, "scale": 0.8, "shift": -0.3})
    assert apply(found, np.array([1.0])).tolist() == pytest.approx([0.5])
