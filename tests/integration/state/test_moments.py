"""`fit --keep-optimiser` and `--optimiser`: Adam continues where it was."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.bundle.bundle import Bundle
from model.nets.net import TABLES
from model.schema import Schema
from model.values.ids import FIRST
from model.vocabulary import Vocabulary
from narrowing import not_none, of_class
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher
from training.state.adam_moments import moments_path, read_moments
from training.state.checkpoint import CheckpointOptions
from training.state.warm_start import WarmStart

# of one batch an epoch, so that no order of rows tells two fits apart; a regression, whose bias no
# fit settles at its end
SCHEMA = Schema.parse('task = "regression"\n' + TINY_SCHEMA)
STEP = Step(epochs=3, batch=1000, learning_rate=0.02, unknown_rate=0.0)


def as_log(rows: Any) -> Any:
    columns = {name: [row[name] for row in rows] for name in SCHEMA.fields}
    return Log(columns, np.array([10 * row["click"] for row in rows], np.float32))


def fitted(out: Any, epochs: Any, start: Any = None, optimizer: Any = "adam", **more: Any) -> Any:
    log = as_log(tiny_rows())
    step = STEP.model_copy(update={"epochs": epochs, **more})
    config = Config(net="fm", embedding=4, fit=step, optimizer=optimizer)
    fit(log, log, None, SCHEMA, config, out, 1, Watcher(), start, keep_optimiser=True)
    return Bundle.open(out)


def scores(bundle: Any) -> Any:
    return bundle.read_scorer().predict(bundle.read_encoder().encode(tiny_rows())).logits


def moments(bundle: Any) -> Any:
    return read_moments(moments_path(bundle.directory), bundle.version)


@pytest.mark.parametrize("optimizer", ["adam", "lazy_adam"])
def test_a_fit_gone_on_with_takes_the_steps_of_one_that_never_ended(
    tmp_path: Path, optimizer: str
) -> None:
    whole = scores(fitted(tmp_path / "whole", 6, optimizer=optimizer))
    first = fitted(tmp_path / "first", 3, optimizer=optimizer)
    start = WarmStart.open(first.directory)
    anew = scores(fitted(tmp_path / "anew", 3, start=start, optimizer=optimizer))
    with_it = start.with_optimiser(moments_path(first.directory))
    second = fitted(tmp_path / "second", 3, start=with_it, optimizer=optimizer)
    assert np.abs(scores(second) - whole).max() < 1e-4
    assert np.abs(anew - whole).max() > 1e-2
    assert moments(second)["bias"]["step"] == 6


def test_a_value_s_moments_follow_its_row_and_a_new_value_has_none_yet(tmp_path: Path) -> None:
    old = fitted(tmp_path / "old", 2)
    newer = [
        row | {"device": "glasses"} if n % 3 == 0 else row for n, row in enumerate(tiny_rows())
    ]
    start = WarmStart.open(old.directory).with_optimiser(moments_path(old.directory))
    vocabularies = start.grow(SCHEMA, as_log(newer))
    assert of_class(Vocabulary, vocabularies["device"]).values[-1] == "glasses"
    grown = not_none(start.grown_moments(vocabularies)).states
    new_row = old.read_vocabularies()["device"].size
    for table in TABLES:
        for key in ("exp_avg", "exp_avg_sq"):
            before, after = not_none(start.moments)[table][key], grown[table][key].numpy()
            assert np.array_equal(np.delete(after, new_row, axis=0), before)
            assert not after[new_row].any()
            assert before[FIRST].any()


def test_moments_are_those_of_the_epoch_that_the_bundle_has(tmp_path: Path) -> None:
    best = fitted(tmp_path / "best", 3)
    start = WarmStart.open(best.directory).with_optimiser(moments_path(best.directory))
    wild = fitted(tmp_path / "wild", 2, start, learning_rate=50.0)
    assert not any(epoch["best"] for epoch in wild.manifest.training["epochs"])
    same(moments(wild), moments(best))


def same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name, state in one.items():
        for key, array in state.items():
            assert np.array_equal(array, other[name][key]), (name, key)


class Killed(BaseException):
    pass


class Dying(Watcher):
    def __init__(self, last: Any) -> None:
        self.left = last

    def epoch(self, epoch: Any) -> None:  # noqa: ARG002  a watcher's
        self.left -= 1
        if not self.left:
            raise Killed


def test_a_fit_that_was_killed_behind_its_best_epoch_and_resumed_leaves_the_same(
    tmp_path: Path,
) -> None:
    step = Step(epochs=6, batch=64, learning_rate=0.1, patience=6)
    config = Config(net="fm", embedding=4, fit=step)
    log, valid = as_log(tiny_rows()), as_log(tiny_rows(seed=9))
    often = CheckpointOptions(resume=True, seconds=0.0)

    def run(out: Any, watcher: Any) -> Any:
        how = log, valid, None, SCHEMA, config, tmp_path / out, 1, watcher, None, often
        fit(*how, keep_optimiser=True)
        return Bundle.open(tmp_path / out)

    whole = run("whole", Watcher())
    best = [e["number"] for e in whole.manifest.training["epochs"] if e["best"]][-1]
    assert best < 5, "it must lie behind the kill for this test to mean anything"
    with pytest.raises(Killed):
        run("out", Dying(6))
    same(moments(run("out", Watcher())), moments(whole))


# As a user calls it.


@pytest.fixture
def home(tmp_path: Path) -> Any:
    rows = [row | {"interests": None} for row in tiny_rows(2000)]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text('net = "lr"\n[fit]\nepochs = 1\nlearning_rate = 0.02\n')
    return tmp_path


def command(home: Any, out: Any, *more: Any) -> Any:
    files = ["--schema", home / "schema.toml", "--config", home / "fast.toml", "--out", home / out]
    return main(["fit", *map(str, [home / "log.csv", *files, *more])])


def test_the_commands_leave_it_beside_the_bundle_and_take_it_up(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(home, "old", "--keep-optimiser") == 0
    assert f"optimiser: {home / 'old.optimiser.npz'}\n" in capsys.readouterr().out
    more = ["--from", home / "old", "--optimiser", home / "old.optimiser.npz"]
    assert command(home, "new", *more) == 0
    assert "optimiser: its state was continued\n" in capsys.readouterr().out
    assert not (home / "new.optimiser.npz").exists()


@pytest.mark.parametrize("left", ["another version's", "no archive", "absent", "without a bundle"])
def test_a_file_that_cannot_be_gone_on_with_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    assert command(home, "old", "--keep-optimiser") == 0
    path, says = home / "old.optimiser.npz", "not what fit --keep-optimiser left"
    origin = ["--from", home / "old"]
    if left == "another version's":
        (home / "fast.toml").write_text('net = "lr"\n[fit]\nepochs = 2\nlearning_rate = 0.02\n')
        assert command(home, "other", "--keep-optimiser") == 0
        path, says = home / "other.optimiser.npz", "of version "
    elif left == "no archive":
        path.write_bytes(b"\x80\x04}." * 9)
    elif left == "absent":
        path.unlink()
    else:
        origin, says = [], "goes with --from"
    capsys.readouterr()
    assert command(home, "new", *origin, "--optimiser", path) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert says in printed.err
    assert not (home / "new").exists()
