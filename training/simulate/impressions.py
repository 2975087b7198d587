"""The impressions of a simulated log: who saw which ad where, and what that does to the logit.

The fields of a row are drawn independently of each other, except that an ad has one advertiser, so
that an effect belongs to just one field pair. Every pair effect is a product of one factor of each
member, and each factor has mean 0: no main effect hides in it.
"""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.simulate.values import AGES, INTERESTS, VALUES, ads, advertisers, users

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AGE_MISSING = 0.2
MOST_INTERESTS = 4

# Deviations of an effect over impressions, on the logit. The ids' are small: most of a long tail
# is seen too rarely to be learnt, and is noise to the best of models.
MAIN = {
    "device": 0.25, "hour": 0.3, "weekday": 0.15, "country": 0.2, "site": 0.3, "section": 0.2,
    "user": 0.1, "age": 0.2, "interests": 0.2,
    "ad": 0.2, "advertiser": 0.25, "category": 0.3, "format": 0.25, "price": 0.3,
}  # fmt: skip
PAIRS = {
    ("device", "format"): 1.0,
    ("hour", "section"): 0.9,
    ("site", "category"): 1.0,
    ("age", "category"): 0.9,
    ("weekday", "section"): 0.8,
    ("country", "format"): 0.8,
    ("interests", "category"): 0.9,
    ("device", "price"): 0.8,
    ("hour", "device"): 0.8,
    ("country", "age"): 0.8,
}


class Impressions:
    """The rows of a log before their clicks.

    `ids`: each field's values as indices into `values`, int64 [rows]; `shares`: how often each
    value is drawn, float64 [values]; `interests`: 0 or 1, float64 [rows, values]; `price`: float64
    [rows].
    """

    def __init__(self, rng: np.random.Generator, rows: int, first_test: int, unseen: float) -> None:
        self.values: dict[str, list[str]] = dict(VALUES)
        self.ids: dict[str, Ints] = {}
        self.shares: dict[str, Floats] = {}
        for name, values in VALUES.items():
            self._draw(rng, name, rows, _uneven(rng, len(values)))
        # null is a value of its own, the last
        known = _uneven(rng, len(AGES)) * (1 - AGE_MISSING)
        self._draw(rng, "age", rows, np.append(known, AGE_MISSING))
        for name, most in (("ad", max(40, rows // 500)), ("user", max(100, rows // 20))):
            self._draw(rng, name, rows, _long_tail(most))
        self._hide(rng, first_test, unseen)
        owners = rng.choice(
            len(advertisers()), len(self.values["ad"]), p=_long_tail(len(advertisers()))
        )
        self.values["advertiser"] = advertisers()
        self.ids["advertiser"] = owners[self.ids["ad"]]
        self.shares["advertiser"] = (
            np.bincount(self.ids["advertiser"], minlength=len(advertisers())) / rows
        )
        counts = rng.integers(0, MOST_INTERESTS + 1, rows)
        keys = rng.random((rows, len(INTERESTS))) ** (1 / _uneven(rng, len(INTERESTS)))
        order = np.argsort(np.argsort(-keys, axis=1), axis=1)
        self.interests = (order < counts[:, None]).astype(np.float64)
        self.price = np.round(np.exp(rng.normal(1.2, 0.35, rows)), 2).astype(np.float64)

    def _draw(self, rng: np.random.Generator, name: str, rows: int, shares: Floats) -> None:
        self.ids[name] = rng.choice(len(shares), rows, p=shares)
        self.shares[name] = shares

    def _hide(self, rng: np.random.Generator, first_test: int, unseen: float) -> None:
        # a share of the test rows gets an ad or a user from a stock that training never sees
        rows = len(self.ids["user"])
        test = np.arange(first_test, rows)
        hit = test[rng.random(len(test)) < unseen]
        new_ad = rng.random(len(hit)) < 0.5
        for name, at in (("ad", hit[new_ad]), ("user", hit[~new_ad])):
            ids = self.ids[name]
            # first, none by chance: a tail's value that only the test part drew is replaced
            chance = test[~np.isin(ids[test], ids[:first_test])]
            ids[chance] = rng.choice(ids[:first_test], len(chance))
            known = len(self.shares[name])
            fresh = max(1, len(at) // 20)
            ids[at] = known + rng.integers(0, fresh, len(at))
            self.shares[name] = np.append(self.shares[name], np.zeros(fresh))
        self.values["ad"] = ads(len(self.shares["ad"]))
        self.values["user"] = users(len(self.shares["user"]))

    def effects(self, rng: np.random.Generator, rank: int = 1) -> Floats:
        """The logit of every row but for its bias, float64 [rows]; each planted pair effect is the
        sum of `rank` products of factors.
        """
        total = np.zeros(len(self.price))
        for name, strength in MAIN.items():
            total += strength * self.factor(rng, name)
        for (left, right), strength in PAIRS.items():
            for _ in range(rank):
                product = self.factor(rng, left) * self.factor(rng, right)
                total += strength / math.sqrt(rank) * product
        return total

    def factor(self, rng: np.random.Generator, name: str) -> Floats:
        """One number a value, of mean 0 and deviation 1 over the rows, float64 [rows]."""
        if name == "price":
            return _standard(self.price)
        if name == "interests":
            liked: Floats = self.interests @ rng.choice([-1.0, 1.0], self.interests.shape[1])
            return _standard(liked)
        shares = self.shares[name]
        levels = _levels(rng, len(shares))
        mean = (levels * shares).sum()
        factor: Floats = (levels - mean) / math.sqrt((shares * (levels - mean) ** 2).sum())
        return factor[self.ids[name]]

    def table(self) -> pl.DataFrame:
        """The rows as a reader of the log sees them."""
        columns: dict[str, object] = {"price": self.price}
        for name, ids in self.ids.items():
            texts = [*AGES, None] if name == "age" else self.values[name]
            columns[name] = pl.Series(texts, dtype=pl.String).gather(ids)
        names = np.array(INTERESTS, dtype=object)
        columns["interests"] = [
            names[row].tolist() or None for row in self.interests.astype(np.bool_)
        ]
        columns["hour"] = self.ids["hour"]
        return pl.DataFrame({name: columns[name] for name in MAIN})


def _uneven(rng: np.random.Generator, count: int) -> Floats:
    # shares that differ up to fivefold, in no order
    return _normalised(rng.uniform(0.2, 1, count))


def _long_tail(count: int) -> Floats:
    return _normalised(1 / np.arange(10.0, count + 10))


def _normalised(sizes: Floats) -> Floats:
    shares: Floats = sizes / sizes.sum()
    return shares


def _levels(rng: np.random.Generator, count: int) -> Floats:
    # evenly spread and shuffled: a field of three values too has a strong effect
    return rng.permutation(np.linspace(-1, 1, count))


def _standard(values: Floats) -> Floats:
    standard: Floats = (values - values.mean()) / values.std()
    return standard
