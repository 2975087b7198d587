"""`afm-train simulate`: an ad log with planted effects of fields and of field pairs and nothing
else, and its truth, so that a fitted model can be held against the best possible one.

>>> drawn = simulate(rows=1000, seed=1)
>>> len(drawn.train), len(drawn.test), list(drawn.schema.fields)[:3]
(800, 200, ['device', 'hour', 'weekday'])
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from model.errors import DataError, reason
from model.metrics.metrics import metrics
from model.schema import CategoricalField, Field, MultivalueField, NumericField, Schema
from training.data.schema_text import schema_text
from training.simulate.impressions import MAIN, MOST_INTERESTS, PAIRS, Floats, Impressions

FEWEST_ROWS = 100
TEST_SHARE = 0.2
CLICK_RATE = 0.12
CANDIDATE = ("ad", "advertiser", "category", "format", "price")
CLICK = "click"
NOISE_VALUES = 1000


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


def simulate(rows: int, seed: int, unseen: float = 0.05) -> Simulation:
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
    drawn = Impressions(rng, rows, rows - count_tested(rows), unseen)
    return clicked(drawn, drawn.effects(rng), rng, seed)


def count_tested(rows: int) -> int:
    """How many rows, the last ones, are the test part."""
    return round(rows * TEST_SHARE)


def clicked(
    drawn: Impressions, logit: Floats, rng: np.random.Generator, seed: int, noise: int = 0
) -> Simulation:
    """The log of impressions whose `logit`, float64 [rows], lacks the bias; with `noise` fields
    that mean nothing.
    """
    rows = len(logit)
    first_test = rows - count_tested(rows)
    probability = sigmoid(logit + bias(logit[:first_test]))
    table = drawn.table().with_columns(
        pl.Series(CLICK, rng.random(rows) < probability).cast(pl.Int8)
    )
    names = [f"noise_{n + 1}" for n in range(noise)]
    table = table.with_columns(pl.Series(n, rng.integers(0, NOISE_VALUES, rows)) for n in names)
    train, test = table[:first_test], table[first_test:]
    new = {name: sorted(set(test[name]) - set(train[name])) for name in ("ad", "user")}
    schema = Schema(label=CLICK, fields={name: _field(name) for name in (*MAIN, *names)})
    return Simulation(train, test, probability[first_test:], new, schema, seed)


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
        (scratch / "schema.toml").write_text(schema_text(drawn.schema), encoding="utf-8")
        (scratch / "truth.json").write_text(json.dumps(drawn.truth()) + "\n", encoding="utf-8")
        scratch.chmod(0o755)  # mkdtemp's is only for the owner
        scratch.rename(out)
    except (OSError, pl.exceptions.PolarsError) as error:  # a full disk is either
        raise DataError(f"{out}: cannot write there: {reason(error)}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _field(name: str) -> Field:
    role: Literal["context", "candidate"] = "candidate" if name in CANDIDATE else "context"
    if name == "price":
        return NumericField(kind="numeric", role=role)
    if name == "interests":
        return MultivalueField(kind="multivalue", role=role, max_values=MOST_INTERESTS)
    return CategoricalField(kind="categorical", role=role)


def sigmoid(logit: Floats) -> Floats:
    """Probabilities of logits."""
    chance: Floats = 1 / (1 + np.exp(-logit))
    return chance


def bias(logit: Floats) -> float:
    """What added to each logit makes the mean probability the click rate, by bisection."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        if sigmoid(logit + middle).mean() < CLICK_RATE:
            low = middle
        else:
            high = middle
    return low
