"""Simulated logs that `afm-train simulate` does not draw: days that drift, effects that no two
fields show, rare clicks, counters that are mostly 0, many ids.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from training.simulate.impressions import Floats, Impressions, Ints
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
RARE = 0.0505 / 30 + 0.0005 * 29 / 30  # a click of `rare_clicks`


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


def rare_clicks(seed: int, rows: int = 60_000, rate: float = RARE) -> pl.DataFrame:
    """Clicks of .0005, but .0505 on ten of 300 sites, RARE in all; the 300 ads mean nothing. Of
    another `rate` in all, both are as many times as often.
    """
    rng = np.random.default_rng(seed)
    site, ad = rng.integers(0, 300, rows), rng.integers(0, 300, rows)
    chance = np.where(site < 10, 0.0505, 0.0005) * rate / RARE
    return _table(rng, chance, site=_names("s", site), ad=_names("a", ad))


def counters(seed: int, rows: int = 30_000, *, by_hand: bool = False) -> pl.DataFrame:
    """As of a census: numbers whose effect bends, and three counters that are 0 in 90, 93 and 96 %
    of the rows and say much where they are not. `by_hand`: each counter cut where its effect is.
    """
    rng = np.random.default_rng(seed)
    age, hours = rng.integers(17, 90, rows), rng.normal(40, 12, rows).clip(1, 99).round()
    job, home = rng.integers(0, 12, rows), rng.integers(0, 5, rows)
    logit = 1.5 * np.exp(-(((age - 47) / 14) ** 2)) + 0.03 * (hours - 40) - 3.2
    logit += rng.normal(0, 0.5, 12)[job] + rng.normal(0, 0.4, (5, 12))[home, job]
    columns: dict[str, object] = {
        "age": age, "hours": hours, "job": _names("j", job), "home": _names("h", home),
    }  # fmt: skip
    for name, zeros, size in (("gain", 0.90, 6000.0), ("loss", 0.93, 1800.0), ("calls", 0.96, 4.0)):
        amount = np.ceil(rng.gamma(2.0, size / 2, rows)) * (rng.random(rows) >= zeros)
        cuts = [0.5, 0.5 * size, size, 1.6 * size]
        cut = np.searchsorted(cuts, amount)
        logit += np.array([0.0, -1.2, 0.8, 2.0, 3.0])[cut]
        columns[name] = _names("b", cut) if by_hand else amount
    return _table(rng, sigmoid(logit), **columns)


def many_ids(seed: int, rows: int = 40_000) -> pl.DataFrame:
    """3,000 users and 2,000 items of long tails, whose tastes meet in four dimensions."""
    rng = np.random.default_rng(seed)
    user, item = (np.minimum(rng.zipf(1.3, rows) - 1 + rng.integers(0, n // 4, rows), n - 1)
                  for n in (3000, 2000))  # fmt: skip
    place = rng.integers(0, 20, rows)
    tastes, kinds = rng.normal(size=(3000, 4)), rng.normal(size=(2000, 4))
    logit = 0.7 * (tastes[user] * kinds[item]).sum(1) + rng.normal(0, 0.5, 2000)[item]
    logit += rng.normal(0, 0.4, 20)[place] - 2.0
    named = {"user": _names("u", user), "item": _names("i", item), "place": _names("p", place)}
    return _table(rng, sigmoid(logit), **named)


def _table(rng: np.random.Generator, chance: Floats, **columns: object) -> pl.DataFrame:
    clicks = (rng.random(len(chance)) < chance).astype(np.int8)
    return pl.DataFrame({CLICK: clicks, **columns})


def _names(letter: str, numbers: Ints) -> list[str]:
    return [f"{letter}{number}" for number in numbers.tolist()]
