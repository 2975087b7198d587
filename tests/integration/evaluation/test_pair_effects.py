"""Pair terms of real nets, added up by field and by value, against loops over explanations."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.bundle.bundle import Bundle
from model.encoding import Encoded
from model.explanation import Explainer
from model.schema import Schema
from model.values.ids import FIRST
from model.values.scales import Bins, Scaler
from model.vocabulary import Vocabulary
from narrowing import not_none
from tiny import tiny_rows
from training.data.examples import Examples
from training.evaluation.coverage import coverage
from training.evaluation.pair_effects import by_fields, by_values, pair_terms, sample, value_name

ROWS = tiny_rows(150, seed=5)


@pytest.fixture(params=["fm", "afm"])
def bundle(request: pytest.FixtureRequest, make_bundle: Callable[..., Bundle]) -> Any:
    return make_bundle(request.param)


@pytest.fixture
def explained(bundle: Any) -> Any:
    """Every present pair of every row: (fields, values, attention, contribution, |R|)."""
    encoder, scorer = bundle.read_encoder(), bundle.read_scorer()
    explanations = Explainer(encoder, scorer).explain(ROWS, encoder.encode(ROWS), None)
    return [
        (
            *(tuple(pair[key]) for key in ("fields", "values")),
            *(pair[key] for key in ("attention", "contribution")),
            len(one["pairs"]),
        )
        for one in explanations
        for pair in one["pairs"]
    ]


def test_means_by_field_are_those_of_the_pairs_in_explanations(bundle: Any, explained: Any) -> None:
    encoder = bundle.read_encoder()
    found = by_fields(not_none(pair_terms(bundle.read_scorer(), encoder.encode(ROWS))), encoder)
    sizes: dict[tuple[str, str], list[float]] = defaultdict(list)
    weights: dict[tuple[str, str], list[float]] = defaultdict(list)
    for fields, _, attention, contribution, pairs in explained:
        sizes[fields].append(abs(contribution))
        if attention is not None:
            weights[fields].append(attention * pairs)
    names = list(bundle.schema.fields)
    for i, first in enumerate(names):
        for j, second in enumerate(names):
            seen = sizes.get((first, second)) or sizes.get((second, first))
            if seen is None:
                assert np.isnan(found.contribution[i, j])
                continue
            assert found.contribution[i, j] == pytest.approx(np.mean(seen), rel=1e-4)
            if bundle.manifest.net == "afm":
                attended = weights.get((first, second)) or weights[second, first]
                assert not_none(found.attention)[i, j] == pytest.approx(np.mean(attended), rel=1e-4)
    assert not np.isnan(found.contribution[names.index("interests"), names.index("interests")])
    assert (found.attention is None) == (bundle.manifest.net == "fm")


def test_means_by_value_are_those_of_the_pairs_in_explanations(bundle: Any, explained: Any) -> None:
    encoder = bundle.read_encoder()
    terms = not_none(pair_terms(bundle.read_scorer(), encoder.encode(ROWS)))
    found = by_values(terms, encoder, bundle.read_vocabularies(), most=10_000, fewest=5)
    by_pair = defaultdict(list)
    for fields, values, _, contribution, _ in explained:
        if fields == ("device", "ad"):
            by_pair[values].append(contribution)
    shown = {one.values: one for one in found if one.fields == ("device", "ad")}
    wanted = {values: seen for values, seen in by_pair.items() if len(seen) >= 5}
    assert shown.keys() == wanted.keys()
    assert len(wanted) > 3
    for values, seen in wanted.items():
        assert shown[values].rows == len(seen)
        assert shown[values].contribution == pytest.approx(np.mean(seen), rel=1e-4, abs=1e-6)
    sizes = [abs(one.contribution) for one in found]
    assert sizes == sorted(sizes, reverse=True)
    assert all(one.rows >= 5 for one in found)
    assert found[:3] == by_values(terms, encoder, bundle.read_vocabularies(), most=3, fewest=5)


def test_values_rarer_than_their_fields_min_count_are_not_shown(bundle: Any) -> None:
    encoder = bundle.read_encoder()
    terms = not_none(pair_terms(bundle.read_scorer(), encoder.encode(ROWS)))
    fields = dict(bundle.schema.fields)
    rarest = fields["ad"].model_copy(update={"min_count": 1000})
    fields["ad"] = rarest
    encoder.schema = Schema(label="click", fields=fields)
    found = by_values(terms, encoder, bundle.read_vocabularies(), most=10_000, fewest=1)
    assert found
    assert not any("ad" in one.fields for one in found)


def test_two_values_of_one_field_are_one_pair_whatever_their_order(bundle: Any) -> None:
    encoder = bundle.read_encoder()
    rows = [{"interests": ["cars", "food"]}, {"interests": ["food", "cars"]}] * 10
    terms = not_none(pair_terms(bundle.read_scorer(), encoder.encode(rows)))
    found = by_values(terms, encoder, bundle.read_vocabularies(), most=100, fewest=20)
    (pair,) = (one for one in found if one.fields == ("interests", "interests"))
    assert set(pair.values) == {"cars", "food"}
    assert pair.rows == 20


def test_a_net_without_pairs_has_no_pair_terms(make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle("lr")
    assert pair_terms(bundle.read_scorer(), bundle.read_encoder().encode(ROWS)) is None


def test_a_logit_that_is_not_the_sum_of_its_terms_gives_none(
    make_bundle: Callable[..., Bundle],
) -> None:
    bundle = make_bundle("fm")
    scorer = bundle.read_scorer()
    scorer.bias += 0.01
    assert pair_terms(scorer, bundle.read_encoder().encode(ROWS)) is None


def test_a_sample_is_of_whole_rows_each_once_and_the_same_for_a_seed() -> None:
    ids = np.arange(200).reshape(100, 2)
    rows = Examples.of(Encoded(ids, ids.astype(np.float32)), np.zeros(100, np.float32), None)
    drawn = sample(rows, 2, seed=1, rows=30)
    assert len(np.unique(drawn.ids[:, 0])) == 30
    assert np.array_equal(drawn.ids, drawn.values.astype(np.int64))
    assert np.array_equal(drawn.ids, sample(rows, 2, seed=1, rows=30).ids)
    assert np.array_equal(sample(rows, 2, seed=1, rows=100).ids, ids)


def test_a_value_of_each_kind_of_vocabulary_has_a_name() -> None:
    assert value_name(Vocabulary(("a", "b")), 1) == "b"
    bins = Bins((1.0, 2.5))
    assert [value_name(bins, i) for i in range(3)] == ["below 1", "1 to 2.5", "2.5 and more"]
    assert value_name(Bins(()), 0) == "any number"
    spikes = Bins.fit(np.array([0.0] * 8 + [1, 2, 40.5, 40.5, 40.5, 90]), 6)
    named = [value_name(spikes, i) for i in range(spikes.size - FIRST)]
    assert named == ["0 and less", "above 0 to 1.5", "1.5 to 40.5", "40.5", "above 40.5"]
    assert value_name(Scaler(0.0, 1.0), 0) == "any number"


def test_coverage_counts_missing_rows_and_unknown_values(tiny_bundle: Bundle) -> None:
    encoder = tiny_bundle.read_encoder()
    rows: list[dict[str, Any]] = [
        {"device": "ios", "interests": ["cars", "new"], "price": 0.0},
        {"device": "fridge", "interests": ["food"], "price": None},
        {"device": None, "interests": None, "hour": 3},
        {"device": "web", "interests": []},
    ]
    found: Any = coverage(encoder.encode(rows), encoder)
    assert found["device"] == (0.25, pytest.approx(1 / 3))
    assert found["interests"] == (0.5, pytest.approx(1 / 3))
    assert found["hour"].missing == 0.75  # absent is missing, too
    # a price of 0 scales to 0 and is there
    assert found["price"] == (0.75, 0.0)
    assert found["ad"] == (1.0, None)
