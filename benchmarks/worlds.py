"""Simulated logs that `afm-train simulate` does not draw: days that drift, and effects that no two
fields show.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from training.simulate.impressions import Impressions, Ints
from training.simulate.simulation import CLICK, Simulation, bias, clicked, count_tested, sigmoid

LAUNCHED = ("site", "category", "ad", "user")  # fields whose values appear over the days
TRIPLES = (
    ("device", "hour", "format"),
    ("site", "age", "category"),
    ("country", "section", "interests"),
)


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


def simulate_world(rows: int, seed: int, unseen: float, world: World) -> Simulation:
    """Draw as `training.simulate.simulation.simulate` does, from `world`."""
    rng = np.random.default_rng(seed)
    drawn = Impressions(rng, rows, rows - count_tested(rows), unseen)
    logit = drawn.effects(rng, world.rank)
    for triple in TRIPLES if world.third_order else ():
        factors = [drawn.factor(rng, name) for name in triple]
        logit += world.third_order * np.prod(factors, axis=0)
    return clicked(drawn, logit, rng, seed, world.noise)


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
    drawn = Impressions(rng, rows * days, rows * days, 0.0)
    day = np.repeat(np.arange(days), rows)
    _launch(drawn, rng, day, launched)
    logit = np.cos(turn * day) * drawn.effects(rng) + np.sin(turn * day) * drawn.effects(rng)
    clicked = rng.random(len(day)) < sigmoid(logit + bias(logit))
    table = drawn.table().with_columns(pl.Series(CLICK, clicked).cast(pl.Int8))
    return [table[first : first + rows] for first in range(0, len(table), rows)]


def _launch(drawn: Impressions, rng: np.random.Generator, day: Ints, share: float) -> None:
    """Have a share of the values of LAUNCHED first show on a later `day` [rows]; rows that had
    one too early get a value that was there from the first.
    """
    for name in LAUNCHED:
        late = rng.random(len(drawn.shares[name])) < share
        first = np.where(late, rng.integers(1, day.max() + 1, len(late)), 0)[drawn.ids[name]]
        early = np.flatnonzero(first > day)
        others = rng.choice(np.flatnonzero(first == 0), len(early))
        for moved in (name, "advertiser") if name == "ad" else (name,):
            drawn.ids[moved][early] = drawn.ids[moved][others]
