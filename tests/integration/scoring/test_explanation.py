"""A score taken apart: its terms add up to it, and say what the row held."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.bundle.bundle import Bundle
from model.explanation import Explainer
from training.config import NETS

ROWS = [
    {"device": "ios", "hour": 21, "interests": ["cars", "golf"], "ad": "a1", "price": 3.5},
    {
        "device": "never seen",
        "hour": None,
        "interests": "food|unheard of",
        "ad": "a2",
        "price": None,
    },
    {"ad": "a3"},
]


def explained(bundle: Any, rows: Any, top: Any = None) -> Any:
    encoder, scorer = bundle.read_encoder(), bundle.read_scorer()
    encoded = encoder.encode(rows)
    return Explainer(encoder, scorer).explain(rows, encoded, top), scorer.predict(encoded)


def total(explanation: Any) -> Any:
    return (
        explanation["bias"]
        + sum(term["contribution"] for term in explanation["linear"])
        + sum(pair["contribution"] for pair in explanation["pairs"])
        + explanation["rest"]["contribution"]
    )


@pytest.mark.parametrize("net", [name for name in NETS if name != "nfm"])
@pytest.mark.parametrize("top", [None, 0, 1, 3, 1000])
def test_the_terms_always_add_up_to_the_logit(
    make_bundle: Callable[..., Bundle], net: Any, top: int | None
) -> None:
    for explanation in explained(make_bundle(net), ROWS, top)[0]:
        assert total(explanation) == pytest.approx(explanation["logit"], abs=1e-5)


@pytest.mark.parametrize("net", NETS)
def test_the_probability_is_the_predicted_one_bit_for_bit(
    make_bundle: Callable[..., Bundle], net: Any
) -> None:
    explanations, scores = explained(make_bundle(net), ROWS)
    assert [e["probability"] for e in explanations] == scores.probabilities.tolist()
    assert [e["logit"] for e in explanations] == scores.logits.tolist()


@pytest.mark.parametrize("net", ["afm", "afm+"])
@pytest.mark.parametrize("top", [None, 2])
def test_attention_sums_to_one_with_the_rest(
    make_bundle: Callable[..., Bundle], net: str, top: int | None
) -> None:
    for explanation in explained(make_bundle(net), ROWS, top)[0]:
        shown = sum(pair["attention"] for pair in explanation["pairs"])
        assert shown + explanation["rest"]["attention"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("net", ["afm", "afm+"])
def test_a_contribution_is_attention_times_interaction(
    make_bundle: Callable[..., Bundle], net: str
) -> None:
    for pair in explained(make_bundle(net), ROWS)[0][0]["pairs"]:
        assert pair["contribution"] == pytest.approx(
            pair["attention"] * pair["interaction"], rel=1e-5
        )


def test_the_pairs_with_the_largest_contribution_come_first_and_the_rest_is_summed(
    tiny_bundle: Bundle,
) -> None:
    full = explained(tiny_bundle, ROWS[:1])[0][0]
    sizes = [abs(pair["contribution"]) for pair in full["pairs"]]
    assert sizes == sorted(sizes, reverse=True)
    short = explained(tiny_bundle, ROWS[:1], top=3)[0][0]
    assert short["pairs"] == full["pairs"][:3]
    assert short["rest"]["pairs"] == len(full["pairs"]) - 3
    left = sum(pair["contribution"] for pair in full["pairs"][3:])
    assert short["rest"]["contribution"] == pytest.approx(left, abs=1e-6)


def test_only_present_features_and_their_pairs_are_listed(tiny_bundle: Bundle) -> None:
    explanation = explained(tiny_bundle, ROWS[:1])[0][0]
    assert [(t["field"], t["value"]) for t in explanation["linear"]] == [
        ("device", "ios"),
        ("hour", "21"),
        ("interests", "cars"),
        ("interests", "golf"),
        ("ad", "a1"),
        ("price", "3.5"),
    ]
    assert len(explanation["pairs"]) == 6 * 5 // 2
    assert {"fields", "values"} <= explanation["pairs"][0].keys()
    named = {(*pair["fields"], *pair["values"]) for pair in explanation["pairs"]}
    assert ("interests", "interests", "cars", "golf") in named


def test_a_missing_value_with_a_token_is_listed_without_a_value_and_an_absent_one_is_not(
    tiny_bundle: Bundle,
) -> None:
    linear = explained(tiny_bundle, ROWS)[0][2]["linear"]
    assert {term["field"]: term["value"] for term in linear} == {
        "device": None,
        "interests": None,
        "ad": "a3",
        "price": None,
    }
    assert all(term["known"] for term in linear)


def test_a_value_unseen_in_training_is_marked(tiny_bundle: Bundle) -> None:
    linear = explained(tiny_bundle, ROWS)[0][1]["linear"]
    assert [(t["value"], t["known"]) for t in linear if t["field"] != "price"] == [
        ("never seen", False),
        ("food", True),
        ("unheard of", False),
        ("a2", True),
    ]


def test_a_net_without_attention_says_null_and_still_gives_contributions(
    make_bundle: Callable[..., Bundle],
) -> None:
    explanation = explained(make_bundle("fm"), ROWS[:1], top=2)[0][0]
    assert all(pair["attention"] is None for pair in explanation["pairs"])
    assert explanation["rest"]["attention"] is None
    assert any(pair["contribution"] != 0 for pair in explanation["pairs"])


def test_a_net_without_pairs_lists_none(make_bundle: Callable[..., Bundle]) -> None:
    explanation = explained(make_bundle("lr"), ROWS[:1])[0][0]
    assert explanation["pairs"] == []
    assert explanation["rest"] == {"pairs": 0, "attention": None, "contribution": 0.0}


def test_a_net_that_is_no_sum_over_pairs_gives_its_linear_terms_and_says_why_no_more(
    make_bundle: Callable[..., Bundle],
) -> None:
    bundle = make_bundle("nfm")
    explanations, _ = explained(bundle, ROWS)
    by_afm, _ = explained(make_bundle("afm"), ROWS)
    for one, other in zip(explanations, by_afm, strict=True):
        assert one["pairs"] is None
        assert one["rest"] is None
        assert "not additive" in one["reason"]
        assert "reason" not in other
        named = [(t["field"], t["value"], t["known"]) for t in other["linear"]]
        assert [(t["field"], t["value"], t["known"]) for t in one["linear"]] == named
        first_order = one["bias"] + sum(term["contribution"] for term in one["linear"])
        assert abs(one["logit"] - first_order) > 1e-4, "its layers must add something"


@pytest.mark.parametrize("net", ["afm", "nfm"])
def test_an_explanation_is_plain_json(make_bundle: Callable[..., Bundle], net: str) -> None:
    explanations, _ = explained(make_bundle(net), ROWS, top=2)
    assert json.loads(json.dumps(explanations, allow_nan=False)) == explanations


def test_no_rows_have_no_explanations(tiny_bundle: Bundle) -> None:
    encoder, scorer = tiny_bundle.read_encoder(), tiny_bundle.read_scorer()
    encoded = encoder.encode([])
    assert Explainer(encoder, scorer).explain([], encoded, None) == []
    assert np.array_equal(encoded.ids, np.empty((0, len(encoder.offsets))))
