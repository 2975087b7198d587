"""/explain: terms that add up to the score of /predict, the largest pairs first, values as text."""

from typing import Any

import httpx
import pytest

from tiny_requests import CANDIDATES, CONTEXT, ROWS


@pytest.mark.parametrize(
    "body",
    [{"instances": ROWS}, {"context": CONTEXT, "candidates": CANDIDATES}, {"instances": ROWS * 80}],
)
def test_explanations_add_up_to_the_probability_of_predict_to_the_bit(
    client: httpx.Client, body: Any
) -> None:
    probabilities = client.post("/predict", json=body).json()["probabilities"]
    for top in (None, 0, 3):
        answer = client.post("/explain", json={**body, "top": top}).json()
        assert [one["probability"] for one in answer["explanations"]] == probabilities
        for one in answer["explanations"]:
            terms = [term["contribution"] for term in (*one["linear"], *one["pairs"])]
            total = one["bias"] + sum(terms) + one["rest"]["contribution"]
            assert total == pytest.approx(one["logit"], abs=1e-5)
            attention = sum(pair["attention"] for pair in one["pairs"]) + one["rest"]["attention"]
            assert attention == pytest.approx(1, abs=1e-5)


def test_top_says_how_many_pairs_and_the_largest_come_first(client: httpx.Client) -> None:
    body = {"instances": ROWS[:1]}
    every = client.post("/explain", json={**body, "top": None}).json()["explanations"][0]
    two = client.post("/explain", json={**body, "top": 2}).json()["explanations"][0]
    assert two["pairs"] == every["pairs"][:2]
    assert two["rest"]["pairs"] == len(every["pairs"]) - 2
    sizes = [abs(pair["contribution"]) for pair in every["pairs"]]
    assert sizes == sorted(sizes, reverse=True)
    assert every["rest"] == {"pairs": 0, "attention": 0.0, "contribution": 0.0}


def test_an_explanation_names_values_as_text_and_the_unknown_ones(client: httpx.Client) -> None:
    (one,) = client.post(
        "/explain", json={"context": {"hour": 21}, "candidates": [{"ad": "never seen"}]}
    ).json()["explanations"]
    linear = {term["field"]: term for term in one["linear"]}
    assert (linear["hour"]["value"], linear["hour"]["known"]) == ("21", True)
    assert (linear["ad"]["value"], linear["ad"]["known"]) == ("never seen", False)
