"""Draws an ad log whose truth is known: planted main effects, planted field-pair effects and
nothing else, so that a fitted model can be held against the best possible one.

The fields of a row are drawn independently of each other, except that an ad has one advertiser, so
that an effect belongs to one field pair alone. Every pair effect is a product of one factor of each
member, and each factor has mean 0: no main effect hides in it.
"""

import json
import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError, reason
from model.metrics.metrics import metrics
from model.schema import CategoricalField, Field, MultivalueField, NumericField, Schema
from training.data.simulate_values import AGES, INTERESTS, VALUES, ads, advertisers, users

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_ROWS = 100
TEST_SHARE = 0.2
CLICK_RATE = 0.12
AGE_MISSING = 0.2
MOST_INTERESTS = 4
CANDIDATE = ("ad", "advertiser", "category", "format", "price")
CLICK = "click"
LAUNCHED = ("site", "category", "ad", "user")  # fields whose values appear over the days

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


TRIPLES = (
    ("device", "hour", "format"),
    ("site", "age", "category"),
    ("country", "section", "interests"),
)
NOISE_VALUES = 1000


class World(NamedTuple):
    """What else a log is drawn from.

    `rank`: of each planted pair effect, the sum of so many products of factors. `third_order`: the
    strength of each of TRIPLES, effects of three fields that no two of them show. `noise`: how many
    fields there are that mean nothing.
    """

    rank: int = 1
    third_order: float = 0.0
    noise: int = 0


PLAIN = World()


@dataclass(frozen=True)
class Simulation:
    """A log in two parts, and its truth.

    `train`, `test`: the tables, label `click`. `probabilities`: float64 [rows of test], the chance
    each test row was drawn with. `unseen`: for the ids, the test part's values that training never
    shows. `schema`: the fields.
    """

    train: pl.DataFrame
    test: pl.DataFrame
    probabilities: Floats
    unseen: dict[str, list[str]]
    schema: Schema
    seed: int

    def truth(self) -> dict[str, object]:
        """What is to be known about the log, as JSON would hold it; strengths are deviations of
        the effect on the logit.
        """
        hidden = [self.test[name].is_in(values) for name, values in self.unseen.items()]
        best = metrics(self.test[CLICK], self.probabilities)
        return {
            "seed": self.seed,
            "rows": {"train": len(self.train), "test": len(self.test)},
            "pairs": [
                {"fields": list(pair), "strength": strength} for pair, strength in PAIRS.items()
            ],
            "main": MAIN,
            "best": {name: best[name] for name in ("auc", "logloss")},
            "unseen_share": float(np.mean(np.logical_or.reduce([h.to_numpy() for h in hidden]))),
            "unseen": self.unseen,
            "probabilities": [round(p, 9) for p in self.probabilities.tolist()],
        }


def simulate(rows: int, seed: int, unseen: float = 0.05, world: World = PLAIN) -> Simulation:
    """Draw `rows` impressions, the last fifth being the test part. `unseen`: the share of test
    rows whose ad or user training never shows. Equal arguments give equal logs.

    Raises:
        DataError: too few rows, or a share outside 0..1.
    """
    if rows < FEWEST_ROWS:
        raise DataError(f"--rows {rows}: at least {FEWEST_ROWS} are needed")
    if not 0 <= unseen <= 1:
        raise DataError(f"--unseen {unseen}: must be a share between 0 and 1")
    rng = np.random.default_rng(seed)
    first_test = rows - round(rows * TEST_SHARE)
    drawn = _Impressions(rng, rows, first_test, unseen)
    logit = drawn.effects(rng, world)
    logit += _bias(logit[:first_test])
    probability = 1 / (1 + np.exp(-logit))
    table = drawn.table().with_columns(
        pl.Series(CLICK, rng.random(rows) < probability).cast(pl.Int8)
    )
    noise = {f"noise_{n + 1}": rng.integers(0, NOISE_VALUES, rows) for n in range(world.noise)}
    table = table.with_columns(pl.Series(name, ids) for name, ids in noise.items())
    train, test = table[:first_test], table[first_test:]
    new = {name: sorted(set(test[name]) - set(train[name])) for name in ("ad", "user")}
    schema = Schema(label=CLICK, fields={name: _field(name) for name in (*MAIN, *noise)})
    return Simulation(train, test, probability[first_test:], new, schema, seed)


def simulate_days(
    rows: int, days: int, seed: int, turn: float = 0.15, launched: float = 0.3
) -> list[pl.DataFrame]:
    """`days` logs of `rows` impressions each, of one world that drifts. Equal arguments give equal
    logs.

    `turn`: the angle, in radians a day, by which every effect turns from what it was on the first
    day into one drawn anew; strengths stay. `launched`: the share of the values of LAUNCHED that
    first show on a later day.
    """
    rng = np.random.default_rng(seed)
    drawn = _Impressions(rng, rows * days, rows * days, 0.0)
    day = np.repeat(np.arange(days), rows)
    drawn.launch(rng, day, launched)
    logit = np.cos(turn * day) * drawn.effects(rng) + np.sin(turn * day) * drawn.effects(rng)
    clicked = rng.random(len(day)) < 1 / (1 + np.exp(-(logit + _bias(logit))))
    table = drawn.table().with_columns(pl.Series(CLICK, clicked).cast(pl.Int8))
    return [table[first : first + rows] for first in range(0, len(table), rows)]


def write_simulation(out: Path, rows: int, seed: int, unseen: float = 0.05) -> None:
    """Write `train.parquet`, `test.parquet`, `schema.toml` and `truth.json` into a new directory,
    which appears whole or not at all.

    Raises:
        DataError: `out` exists or cannot be written, or see `simulate`.
    """
    if out.exists():
        raise DataError(f"{out}: exists already; choose another directory or remove it")
    drawn = simulate(rows, seed, unseen)
    scratch = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        drawn.train.write_parquet(scratch / "train.parquet")
        drawn.test.write_parquet(scratch / "test.parquet")
        (scratch / "schema.toml").write_text(drawn.schema.dumps(), encoding="utf-8")
        (scratch / "truth.json").write_text(json.dumps(drawn.truth()) + "\n", encoding="utf-8")
        scratch.chmod(0o755)  # mkdtemp's is for the owner alone
        scratch.rename(out)
    except (OSError, pl.exceptions.PolarsError) as error:  # a full disk is either
        raise DataError(f"{out}: cannot write there: {reason(error)}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


class _Impressions:
    # rows as indices into each field's values; interests as 0 or 1 [rows, values], price a number

    def __init__(self, rng: np.random.Generator, rows: int, first_test: int, unseen: float) -> None:
        self.values: dict[str, list[str]] = dict(VALUES)
        self.ids: dict[str, Ints] = {}
        self._shares: dict[str, Floats] = {}
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
        self._shares["advertiser"] = (
            np.bincount(self.ids["advertiser"], minlength=len(advertisers())) / rows
        )
        counts = rng.integers(0, MOST_INTERESTS + 1, rows)
        keys = rng.random((rows, len(INTERESTS))) ** (1 / _uneven(rng, len(INTERESTS)))
        order = np.argsort(np.argsort(-keys, axis=1), axis=1)
        self.interests = (order < counts[:, None]).astype(np.float64)
        self.price = np.round(np.exp(rng.normal(1.2, 0.35, rows)), 2).astype(np.float64)

    def _draw(self, rng: np.random.Generator, name: str, rows: int, shares: Floats) -> None:
        self.ids[name] = rng.choice(len(shares), rows, p=shares)
        self._shares[name] = shares

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
            known = len(self._shares[name])
            fresh = max(1, len(at) // 20)
            ids[at] = known + rng.integers(0, fresh, len(at))
            self._shares[name] = np.append(self._shares[name], np.zeros(fresh))
        self.values["ad"] = ads(len(self._shares["ad"]))
        self.values["user"] = users(len(self._shares["user"]))

    def launch(self, rng: np.random.Generator, day: Ints, share: float) -> None:
        """Have a share of the values of LAUNCHED first show on a later `day` [rows]; rows that had
        one too early get a value that was there from the first.
        """
        for name in LAUNCHED:
            late = rng.random(len(self._shares[name])) < share
            first = np.where(late, rng.integers(1, day.max() + 1, len(late)), 0)[self.ids[name]]
            early = np.flatnonzero(first > day)
            others = rng.choice(np.flatnonzero(first == 0), len(early))
            for moved in (name, "advertiser") if name == "ad" else (name,):
                self.ids[moved][early] = self.ids[moved][others]

    def effects(self, rng: np.random.Generator, world: World = PLAIN) -> Floats:
        """The logit of every row but for its bias."""
        total = np.zeros(len(self.price))
        for name, strength in MAIN.items():
            total += strength * self._factor(rng, name)
        for (left, right), strength in PAIRS.items():
            for _ in range(world.rank):
                product = self._factor(rng, left) * self._factor(rng, right)
                total += strength / math.sqrt(world.rank) * product
        for triple in TRIPLES if world.third_order else ():
            factors = [self._factor(rng, name) for name in triple]
            total += world.third_order * np.prod(factors, axis=0)
        return total

    def _factor(self, rng: np.random.Generator, name: str) -> Floats:
        # one number a value with mean 0 and deviation 1 over impressions, looked up for every row
        if name == "price":
            return _standard(self.price)
        if name == "interests":
            liked: Floats = self.interests @ rng.choice([-1.0, 1.0], self.interests.shape[1])
            return _standard(liked)
        shares = self._shares[name]
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


def _field(name: str) -> Field:
    role: Literal["context", "candidate"] = "candidate" if name in CANDIDATE else "context"
    if name == "price":
        return NumericField(kind="numeric", role=role)
    if name == "interests":
        return MultivalueField(kind="multivalue", role=role, max_values=MOST_INTERESTS)
    return CategoricalField(kind="categorical", role=role)


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


def _bias(logit: Floats) -> float:
    # bisection for the mean probability that is the click rate
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-(logit + middle)))).mean() < CLICK_RATE:
            low = middle
        else:
            high = middle
    return low
