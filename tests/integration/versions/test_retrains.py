"""Daily retrains on a growing log: honest ones go live and spoilt ones do not, in a short form of
benchmarks/promises/retrains.py.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from altered import reseal, scale_output, whole
from model.bundle.bundle import Bundle
from model.bundle.labelled_rows import LabelledRows
from model.schema import Schema
from service.errors import GateError
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.gate.publish_gate import PublishGate
from service.versions.publish import publish
from tiny import TINY_SCHEMA, tiny_rows
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher
from training.state.warm_start import WarmStart

STEP = Step(epochs=4, batch=128, learning_rate=0.02)
CONFIG = Config(net="fm", embedding=4, fit=STEP)
SCHEMA = Schema.parse(TINY_SCHEMA)


def log(rows: Any, seed: Any = 5) -> Any:
    drawn = tiny_rows(rows, seed)
    columns = {name: [row[name] for row in drawn] for name in SCHEMA.fields}
    return Log(columns, np.array([row["click"] for row in drawn], np.float32))


def made(
    out: Any,
    data: Any,
    schema: Any = SCHEMA,
    valid: Any = None,
    start: Any = None,
    seed: Any = 1,
    **settings: Any,
) -> Any:
    config = CONFIG.model_copy(update=settings)
    fit(data, valid, None, schema, config, out, seed, Watcher(), start)
    return Bundle.open(out)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("retrains")


@pytest.fixture(scope="module")
def whole_log() -> Any:
    return log(4000)


@pytest.fixture(scope="module")
def today(home: Path, whole_log: Any) -> Any:
    """What is active: the first 3,000 rows."""
    return made(home / "today", whole_log.take(np.arange(3000)))


@pytest.fixture(scope="module")
def honest(home: Path, whole_log: Any) -> Any:
    """The retrain of the next day, on all 4,000."""
    return made(home / "honest", whole_log, seed=2)


def refusal(bundle: Any, store: VersionStore, bundles: BundleStore, gate: Any = None) -> Any:
    with pytest.raises(GateError) as caught:
        publish(bundle.directory, store, bundles, gate=gate or PublishGate())
    return str(caught.value)


def shuffled(data: Any) -> Any:
    return replace(data, labels=np.random.default_rng(3).permutation(data.labels))


def rows_of(bundle: Any) -> Any:
    return {str(sorted(row.items(), key=str)) for row in bundle.read_validation().rows}


def test_a_longer_log_holds_out_what_the_shorter_one_did(today: Any, honest: Any) -> None:
    assert today.manifest.held_out == honest.manifest.held_out
    assert today.manifest.held_out.by == "fields"
    assert rows_of(today) < rows_of(honest)


def test_an_honest_retrain_on_a_longer_log_goes_live(
    today: Any, honest: Any, store: VersionStore, bundles: BundleStore
) -> None:
    publish(today.directory, store, bundles)
    done = publish(honest.directory, store, bundles, gate=PublishGate())
    assert store.active() == honest.version
    assert not done.faults
    assert sum("the held-out rows of the active version" in line for line in done.saw) == 2
    assert sum("the held-out rows of the bundle" in line for line in done.saw) == 2
    assert "although" not in str(done.saw)  # neither was trained on any of them


def test_a_retrain_of_shuffled_labels_is_refused(
    home: Path, today: Any, whole_log: Any, store: VersionStore, bundles: BundleStore
) -> None:
    """Its own held-out rows, whose labels are shuffled too, speak for it."""
    publish(today.directory, store, bundles)
    spoilt = made(home / "shuffled", shuffled(whole_log))
    said = refusal(spoilt, store, bundles)
    assert "worse than the active version" in said
    assert "its log contradicts the active version's" in said
    assert store.active() == today.version


@pytest.mark.parametrize("field", ["ad", "price", "interests"])
def test_a_retrain_without_a_field_s_values_is_refused(
    field: str, home: Path, today: Any, whole_log: Any, store: VersionStore, bundles: BundleStore
) -> None:
    """Whatever the field is worth, and whatever its kind."""
    publish(today.directory, store, bundles)
    columns = {**whole_log.columns, field: [None] * len(whole_log)}
    spoilt = made(home / f"without-{field}", replace(whole_log, columns=columns))
    assert f"field {field} is empty: 0.0% of its held-out rows" in refusal(spoilt, store, bundles)


def test_a_retrain_that_learnt_one_value_of_a_field_is_refused(
    home: Path, today: Any, whole_log: Any, store: VersionStore, bundles: BundleStore
) -> None:
    publish(today.directory, store, bundles)
    columns = {**whole_log.columns, "device": ["?"] * len(whole_log)}
    spoilt = made(home / "constant", replace(whole_log, columns=columns))
    assert "field device is lost: it learnt 1 of its values, the active version 3" in refusal(
        spoilt, store, bundles
    )


def test_a_retrain_of_scaled_scores_is_refused(
    tmp_path: Path, today: Any, honest: Any, store: VersionStore, bundles: BundleStore
) -> None:
    publish(today.directory, store, bundles)
    spoilt = whole(honest, tmp_path / "scaled", "scaled", scores_times_1_3)
    said = refusal(spoilt, store, bundles)
    assert "it does not score as it was measured: logloss" in said
    assert "calibration: mean probability is 1.3" in said


def scores_times_1_3(directory: Any) -> None:
    for name in ("predict.onnx", "rank.onnx"):
        scale_output(directory / name, 1.3)


def test_a_first_bundle_that_does_not_score_as_measured_is_refused(
    tmp_path: Path, honest: Any, store: VersionStore, bundles: BundleStore
) -> None:
    spoilt = whole(honest, tmp_path / "scaled", "scaled", scores_times_1_3)
    assert "does not score as it was measured" in refusal(spoilt, store, bundles)


def test_scores_that_are_all_higher_and_have_the_loss_that_they_had_are_refused(
    tmp_path: Path, honest: Any, store: VersionStore, bundles: BundleStore
) -> None:
    """Its manifest says what loss it has, and that its level was lower."""
    measured = honest.manifest.metrics["valid"]
    lower = measured | {"calibration_ratio": measured["calibration_ratio"] / 1.3}
    spoilt = whole(honest, tmp_path / "level", "level")
    reseal(spoilt.directory, metrics={"valid": lower})
    said = refusal(Bundle.open(spoilt.directory), store, bundles)
    assert "it does not score as it was measured: calibration_ratio" in said


def test_a_bundle_without_a_field_of_the_active_one_is_refused(
    home: Path, today: Any, whole_log: Any, store: VersionStore, bundles: BundleStore
) -> None:
    publish(today.directory, store, bundles)
    text = TINY_SCHEMA
    for name in SCHEMA.fields:
        text = text.replace(f"[fields.{name}]", f"[fields.other_{name}]")
    columns = {f"other_{name}": column for name, column in whole_log.columns.items()}
    other = made(home / "other", replace(whole_log, columns=columns), Schema.parse(text))
    said = refusal(other, store, bundles)
    assert f"it has no field of the active version {today.version}" in said
    assert "--model" in said


def old_manifest(bundle: Any, out: Any) -> Any:
    """The bundle as one was made before held-out rows had a rule."""
    shutil.copytree(bundle.directory, out)
    reseal(out, version="old", held_out=None)
    return Bundle.open(out)


def test_an_active_version_without_a_rule_is_judged_on_the_rows_that_both_keep(
    tmp_path: Path, today: Any, honest: Any, store: VersionStore, bundles: BundleStore
) -> None:
    """What stands in both samples neither was trained on, whatever their manifests say."""
    old = old_manifest(today, tmp_path / "old")
    publish(old.directory, store, bundles)
    saw = publish(honest.directory, store, bundles, gate=PublishGate()).saw
    assert len(old.read_validation()) < len(honest.read_validation())
    assert f"{len(old.read_validation())} rows) on the rows that both held out" in saw[-1]
    assert "although" not in str(saw)


def test_a_retrain_that_is_worse_where_the_active_one_may_have_been_trained_cannot_be_judged(
    tmp_path: Path, home: Path, whole_log: Any, store: VersionStore, bundles: BundleStore
) -> None:
    """The active version has learnt the very rows by heart that the bundle held out."""
    first, rest = whole_log.take(np.arange(500)), whole_log.take(np.arange(500, 4000))
    heart = Step(epochs=30, batch=32, learning_rate=0.05, l2_embedding=0.0, patience=30)
    clever = made(home / "clever", first, valid=first, fit=heart, calibration="none")
    assert clever.manifest.held_out is None
    active = with_rows(clever, tmp_path / "clever", rest.take(np.arange(100)))
    publish(active.directory, store, bundles)
    fresh = made(home / "fresh", rest, valid=first)
    said = refusal(fresh, store, bundles)
    assert "it cannot be judged whether it is worse than the active version" in said
    assert "may have been trained on them (its manifest does not say what it held out)" in said
    assert "--on FILE" in said
    assert publish(fresh.directory, store, bundles, gate=PublishGate(force=True)).active


def with_rows(bundle: Any, out: Any, rows: Any) -> Any:
    """The bundle with other validation rows."""
    shutil.copytree(bundle.directory, out)
    kept = LabelledRows(rows.rows(), rows.labels.astype(float), np.ones(len(rows)))
    (out / "validation.jsonl").write_bytes(kept.dumps())
    reseal(out)
    return Bundle.open(out)


@pytest.fixture(scope="module")
def yesterday(home: Path, today: Any) -> Any:
    """A day's fit that continues from `today`: it held out few rows itself."""
    start = WarmStart.open(today.directory)
    return made(home / "yesterday", log(700, seed=6), start=start)


def test_a_warm_start_says_how_its_bundle_ranks_the_new_rows(today: Any, yesterday: Any) -> None:
    measured = yesterday.manifest.training["ranked_by_it"]
    assert 0.6 < measured["auc"] < 0.8
    assert 0 < measured["error"] < 0.05
    assert measured["rows"] == 700 - len(yesterday.read_validation())
    assert "ranked_by_it" not in today.manifest.training


@pytest.mark.parametrize("seed", range(3))
def test_a_day_whose_labels_are_shuffled_is_refused(
    home: Path, yesterday: Any, store: VersionStore, bundles: BundleStore, seed: Any
) -> None:
    """It continues from the active version, and has only the day's rows: too few to judge by."""
    publish(yesterday.directory, store, bundles)
    day = log(700, seed=20 + seed)
    start = WarmStart.open(yesterday.directory)
    spoilt = made(home / f"spoilt-day-{seed}", shuffled(day), start=start)
    said = "its log has other labels than the active version learnt: that ranks them by auc"
    assert said in refusal(spoilt, store, bundles)
    honest = made(home / f"day-{seed}", day, start=start)
    assert not publish(honest.directory, store, bundles, gate=PublishGate()).faults


def test_labels_that_the_active_version_ranks_as_chance_would_are_refused(
    tmp_path: Path, today: Any, honest: Any, store: VersionStore, bundles: BundleStore
) -> None:
    """Even of a bundle that has learnt nothing from them."""
    publish(today.directory, store, bundles)
    held = honest.read_validation()
    labels = np.random.default_rng(3).permutation(held.labels)
    spoilt = tmp_path / "odd"
    shutil.copytree(honest.directory, spoilt)
    (spoilt / "validation.jsonl").write_bytes(replace(held, labels=labels).dumps())
    reseal(spoilt, version="odd", metrics={})
    said = refusal(Bundle.open(spoilt), store, bundles)
    assert "its log has other labels than the active version learnt: that ranks them by auc" in said


def test_a_warm_start_replays_none_of_the_rows_that_are_held_out(
    home: Path, today: Any, whole_log: Any
) -> None:
    """The rows that it started from were held out once, and are held out in the replay."""
    new = whole_log.take(np.arange(3000, 4000))
    old = whole_log.take(np.arange(3000))
    start = WarmStart.open(today.directory).with_replay(old, 0.7)
    rule = today.manifest.held_out
    replayed = start.rows(new, SCHEMA, rule, seed=1)
    rows = [str(sorted(row.items(), key=str)) for row in replayed.rows()[len(new) :]]
    assert len(rows) > 2000
    assert not set(rows) & rows_of(today)
    made_so = made(home / "warm", new, start=start)
    assert made_so.manifest.held_out == rule
    given = made(home / "given", new, valid=old, start=start)
    assert given.manifest.held_out is None
