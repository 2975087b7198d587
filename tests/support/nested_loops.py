"""The paper's equation in nested loops over the present pairs, in float64."""

import math
from typing import Any

import numpy as np

from random_nets import FIELDS, K


def numbers(net: Any) -> Any:
    """The parameters in float64."""
    return {name: p.detach().double().numpy() for name, p in net.named_parameters()}


def present_pairs(values: Any) -> Any:
    present = [i for i in range(len(values)) if values[i] != 0]
    return [(i, j) for at, i in enumerate(present) for j in present[at + 1 :]]


def field_pair(i: Any, j: Any) -> Any:
    """The place of a pair of slots in the list (0, 0), (0, 1), (1, 1), (0, 2) .. of field pairs."""
    fields = sorted((FIELDS[i], FIELDS[j]))
    return [(low, high) for high in range(5) for low in range(high + 1)].index(tuple(fields))


def softmax(scores: Any) -> Any:
    total = sum(math.exp(score) for score in scores.values())
    return {pair: math.exp(score) / total for pair, score in scores.items()}


def vectors_of(number: Any, ids: Any, values: Any) -> Any:
    """e_ij of each pair that is present."""
    v = [number["embedding"][row] * float(x) for row, x in zip(ids, values, strict=True)]
    return {(i, j): v[i] * v[j] for i, j in present_pairs(values)}


def attention_scores(number: Any, vectors: Any) -> Any:
    return {
        pair: float(
            number["h"] @ np.maximum(number["attention.weight"] @ e + number["attention.bias"], 0)
        )
        for pair, e in vectors.items()
    }


def fm(number: Any, ids: Any, values: Any) -> Any:
    return {pair: e.sum() for pair, e in vectors_of(number, ids, values).items()}, {}


def fwfm(number: Any, ids: Any, values: Any) -> Any:
    products, _ = fm(number, ids, values)
    return {
        pair: number["field_weights"][field_pair(*pair)] * c for pair, c in products.items()
    }, {}


def ffm(number: Any, ids: Any, values: Any) -> Any:
    terms = {}
    for i, j in present_pairs(values):
        of_i, of_j = (number["embedding"][ids[s]].reshape(5, 3) for s in (i, j))
        product = of_i[FIELDS[j]] @ of_j[FIELDS[i]]
        terms[i, j] = product * float(values[i]) * float(values[j])
    return terms, {}


def nfm(number: Any, ids: Any, values: Any) -> Any:
    z = sum(vectors_of(number, ids, values).values(), np.zeros(K))
    for layer in (0, 1):
        z = np.maximum(number[f"hidden.{layer}.weight"] @ z + number[f"hidden.{layer}.bias"], 0)
    return {"all": number["h"] @ z}, {}


def afm(number: Any, ids: Any, values: Any) -> Any:
    vectors = vectors_of(number, ids, values)
    attention = softmax(attention_scores(number, vectors))
    return {pair: a * (number["p"] @ vectors[pair]) for pair, a in attention.items()}, attention


def afm_plus(number: Any, ids: Any, values: Any) -> Any:
    vectors = vectors_of(number, ids, values)
    scores = {
        pair: score + number["field_scores"][field_pair(*pair)]
        for pair, score in attention_scores(number, vectors).items()
    }
    attention = softmax(scores)
    terms = {
        pair: len(vectors)
        * a
        * number["field_weights"][field_pair(*pair)]
        * (number["p"] @ vectors[pair])
        for pair, a in attention.items()
    }
    return terms, attention


LOOPS = {"fm": fm, "fwfm": fwfm, "ffm": ffm, "nfm": nfm, "afm": afm, "afm+": afm_plus}


def by_nested_loops(name: Any, net: Any, ids: Any, values: Any) -> Any:
    """Logit, contributions and attention of one row by the paper's equation in float64, pair by
    pair, over only the present features.
    """
    number = numbers(net)
    logit = float(number["bias"][0])
    logit += sum(float(number["linear"][i, 0]) * float(x) for i, x in zip(ids, values, strict=True))
    if name == "lr":
        return logit, {}, {}
    terms, attention = LOOPS[name](number, ids, values)
    return logit + sum(terms.values()), terms, attention
