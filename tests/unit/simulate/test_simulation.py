"""The simulated log is what its truth says it is."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from logs.worlds import LAUNCHED, simulate_days

from model.errors import DataError
from model.metrics.metrics import metrics
from model.schema import Schema
from training.data.read_log import read_log
from training.simulate.impressions import MAIN, PAIRS
from training.simulate.simulation import (
    CLICK,
    CLICK_RATE,
    Simulation,
    simulate,
    write_simulation,
)

ROWS = 20_000


@pytest.fixture(scope="module")
def drawn() -> Simulation:
    return simulate(ROWS, 1)


def test_a_fifth_of_the_rows_is_the_test_part(drawn: Simulation) -> None:
    assert (len(drawn.train), len(drawn.test)) == (16_000, 4_000)
    assert len(drawn.probabilities) == 4_000


def test_the_same_seed_draws_the_same_log_and_another_another() -> None:
    first, again, other = simulate(500, 1), simulate(500, 1), simulate(500, 2)
    assert first.train.equals(again.train)
    assert first.test.equals(again.test)
    assert first.truth() == again.truth()
    assert not first.train.equals(other.train)


def test_the_click_rate_is_the_one_asked(drawn: Simulation) -> None:
    assert drawn.train[CLICK].mean() == pytest.approx(CLICK_RATE, abs=0.01)


def test_labels_follow_the_true_probabilities(drawn: Simulation) -> None:
    labels, chance = drawn.test[CLICK].to_numpy(), drawn.probabilities
    for low, high in ((0.0, 0.05), (0.05, 0.2), (0.2, 1.0)):
        inside = (chance >= low) & (chance < high)
        error = 4 * math.sqrt((chance[inside] * (1 - chance[inside])).sum()) / inside.sum()
        assert labels[inside].mean() == pytest.approx(chance[inside].mean(), abs=error)


def test_the_table_has_the_schemas_fields_and_kinds(drawn: Simulation) -> None:
    assert drawn.train.columns == [*drawn.schema.fields, CLICK]
    kinds = {name: field.kind for name, field in drawn.schema.fields.items()}
    assert kinds.pop("price") == "numeric"
    assert kinds.pop("interests") == "multivalue"
    assert set(kinds.values()) == {"categorical"}
    roles = {name for name, field in drawn.schema.fields.items() if field.role == "candidate"}
    assert roles == {"ad", "advertiser", "category", "format", "price"}


def test_only_age_and_interests_are_ever_missing(drawn: Simulation) -> None:
    missing = {name: drawn.train[name].null_count() / len(drawn.train) for name in MAIN}
    assert missing.pop("age") == pytest.approx(0.2, abs=0.02)
    assert missing.pop("interests") == pytest.approx(0.2, abs=0.02)
    assert not any(missing.values())


def test_interests_are_up_to_four_different_ones(drawn: Simulation) -> None:
    lists = drawn.train["interests"].drop_nulls()
    assert lists.list.len().max() == 4
    assert lists.list.len().min() == 1
    assert (lists.list.n_unique() == lists.list.len()).all()


def test_users_have_a_long_tail(drawn: Simulation) -> None:
    counts = drawn.train["user"].value_counts(sort=True)["count"].to_numpy()
    assert len(counts) > 500
    assert counts[0] > 10 * np.median(counts)


def test_an_ad_has_one_advertiser_in_both_parts(drawn: Simulation) -> None:
    both = pl.concat([drawn.train, drawn.test])
    assert both.group_by("ad").agg(pl.col("advertiser").n_unique())["advertiser"].max() == 1


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_the_share_of_test_rows_with_an_unseen_value_is_the_one_asked(share: float) -> None:
    drawn = simulate(ROWS, 1, share)
    assert drawn.truth()["unseen_share"] == pytest.approx(share, abs=0.03)
    for name in ("ad", "user"):
        fresh = set(drawn.test[name]) - set(drawn.train[name])
        assert drawn.unseen[name] == sorted(fresh)
        assert bool(fresh) == (share > 0)


def test_every_other_value_of_the_test_part_was_seen_in_training(drawn: Simulation) -> None:
    for name in set(MAIN) - {"ad", "user", "price", "interests"}:
        assert set(drawn.test[name]) <= set(drawn.train[name]), name


def test_at_least_eight_pairs_are_planted_and_none_on_a_long_tail() -> None:
    assert len(PAIRS) >= 8
    assert all({"user", "ad", "advertiser"}.isdisjoint(pair) for pair in PAIRS)
    assert len({frozenset(pair) for pair in PAIRS}) == len(PAIRS)


def logit(drawn: Simulation) -> np.ndarray:
    return np.log(drawn.probabilities / (1 - drawn.probabilities))


def pair_effect(drawn: Simulation, left: str, right: str) -> float:
    # deviation of the cells' mean logit, less what each field says by itself and what chance adds
    table = drawn.test.with_columns(logit=logit(drawn))
    mean = table["logit"].mean()
    sides = [
        table.group_by(n).agg((pl.col("logit").mean() - mean).alias(f"of_{n}"))
        for n in (left, right)
    ]
    cells = table.group_by(left, right).agg(
        pl.col("logit").mean(), pl.len(), s=pl.col("logit").var()
    )
    for side in sides:
        cells = cells.join(side, on=side.columns[0], nulls_equal=True)
    cells = cells.filter(pl.col("len") > 1)
    effect = (cells["logit"] - mean - cells[f"of_{left}"] - cells[f"of_{right}"]).to_numpy()
    rows = cells["len"].to_numpy()
    variance = (rows * effect**2).sum() - cells["s"].sum()
    return math.sqrt(max(0.0, variance / rows.sum()))


def test_the_planted_pairs_are_there_with_their_strength_and_no_other() -> None:
    drawn = simulate(100_000, 4)
    names = ("device", "hour", "weekday", "country", "section", "age", "category", "format", "site")
    for at, left in enumerate(names):
        for right in names[at + 1 :]:
            planted = PAIRS.get((left, right)) or PAIRS.get((right, left)) or 0.0
            assert pair_effect(drawn, left, right) == pytest.approx(planted, abs=0.2), (left, right)


def test_no_main_effect_hides_in_a_pair_effect() -> None:
    drawn = simulate(100_000, 4)
    table = drawn.test.with_columns(logit=logit(drawn))
    for name in ("device", "category", "section", "format", "country", "age"):
        levels = table.group_by(name).agg(pl.col("logit").mean(), pl.len())
        rows = levels["len"].to_numpy()
        means = levels["logit"].to_numpy()
        spread = math.sqrt(np.average((means - np.average(means, weights=rows)) ** 2, weights=rows))
        assert spread == pytest.approx(MAIN[name], abs=0.12), name


def test_the_truth_is_the_best_model_of_the_test_part(drawn: Simulation) -> None:
    truth: dict[str, Any] = drawn.truth()
    labels = drawn.test[CLICK].to_numpy()
    measured = metrics(labels, truth["probabilities"])
    assert truth["best"]["auc"] == pytest.approx(measured["auc"], abs=1e-6)
    assert truth["best"]["logloss"] == pytest.approx(measured["logloss"], abs=1e-6)
    blurred = 1 / (1 + np.exp(-(logit(drawn) + np.random.default_rng(0).normal(size=len(labels)))))
    assert metrics(labels, blurred)["logloss"] > truth["best"]["logloss"]


def test_four_files_are_written_and_read_back(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "example"
    write_simulation(out, 2_000, 7, 0.1)
    assert sorted(path.name for path in out.iterdir()) == [
        "schema.toml", "test.parquet", "train.parquet", "truth.json",
    ]  # fmt: skip
    schema = Schema.load(out / "schema.toml")
    log = read_log(out / "test.parquet", schema)
    truth = json.loads((out / "truth.json").read_text())
    assert len(log) == len(truth["probabilities"]) == truth["rows"]["test"] == 400
    assert truth["seed"] == 7
    assert {tuple(pair["fields"]): pair["strength"] for pair in truth["pairs"]} == PAIRS
    assert [path.name for path in out.parent.iterdir()] == ["example"]


def test_an_existing_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="exists already"):
        write_simulation(tmp_path, 500, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write there"):
        write_simulation(tmp_path / "file" / "out", 500, 1)


@pytest.mark.parametrize(
    ("rows", "unseen", "message"),
    [
        (99, 0.05, "--rows 99: at least 100 are needed"),
        (500, 1.5, r"--unseen 1\.5: must be a share"),
        (500, float("nan"), "--unseen nan: must be a share"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, rows: int, unseen: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write_simulation(tmp_path / "out", rows, 1, unseen)
    assert not (tmp_path / "out").exists()


def test_the_fewest_rows_are_enough(tmp_path: Path) -> None:
    write_simulation(tmp_path / "out", 100, 1)
    assert (
        len(
            read_log(
                tmp_path / "out" / "train.parquet", Schema.load(tmp_path / "out" / "schema.toml")
            )
        )
        == 80
    )


def test_days_are_logs_of_equal_size_which_arguments_decide() -> None:
    first = simulate_days(500, 3, seed=1)
    assert [len(day) for day in first] == [500] * 3
    again, other = simulate_days(500, 3, seed=1), simulate_days(500, 3, seed=2)
    assert all(a.equals(b) for a, b in zip(first, again, strict=True))
    assert not first[0].equals(other[0])


@pytest.mark.parametrize("field", LAUNCHED)
def test_a_share_of_the_values_first_shows_on_a_later_day(field: Any) -> None:
    days = [set(day[field]) for day in simulate_days(4000, 3, seed=1, launched=0.3)]
    known = days[0]
    for day in days[1:]:
        assert 0.03 < len(day - known) / len(day) < 0.6
        known |= day


def test_an_ad_has_one_advertiser_on_all_days() -> None:
    log = pl.concat(simulate_days(1000, 3, seed=1))
    assert log.group_by("ad").agg(pl.col("advertiser").n_unique())["advertiser"].max() == 1


def tendency(day: pl.DataFrame) -> np.ndarray:
    """The click rate of each device and format, a pair with a planted effect, less the mean."""
    by_pair = day.group_by("device", "format").agg(pl.col(CLICK).mean()).sort("device", "format")
    return by_pair[CLICK].to_numpy() - day[CLICK].mean()


def test_effects_turn_a_little_further_every_day() -> None:
    days = simulate_days(30_000, 4, seed=1, turn=0.5)
    first, *later = map(tendency, days)
    likeness = [np.corrcoef(first, day)[0, 1] for day in later]
    assert likeness[0] > 0.7
    assert likeness[0] > likeness[1] > likeness[2]
    still = simulate_days(30_000, 4, seed=1, turn=0.0)
    assert np.corrcoef(tendency(still[0]), tendency(still[3]))[0, 1] > 0.9
