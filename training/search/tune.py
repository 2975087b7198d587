"""`afm-train tune`: searches for the settings of one net on one split, and writes the best as a
configuration.

Every trial is fitted on the same encoded rows, from the same seed, as `fit` would with its
settings; a trial that is behind the others after some epochs is ended. What decides is the
criterion on the rows held out, before calibration.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import torch

from model.encoding import Encoder
from model.errors import AfmError, ConfigError
from model.files.whole_file import whole_file
from model.schema import Schema
from training.config import Config
from training.data.examples import Examples, TrainRows
from training.data.log import Log
from training.fit.prepare import (
    cautions_before,
    encode_rows,
    prepare,
    sampled,
    vocabularies_of,
)
from training.fit.step.logits import logits
from training.fit.step.objective import objective_of
from training.fit.step.watcher import Epoch, Watcher
from training.fit.steps import Steps, fit_net
from training.search.space import configured, default_parameters, space
from training.search.trials import Ended, Trials, Tuned, best_of, open_trials
from training.search.tune_report import tune_report
from training.state.checkpoint import Checkpoint, CheckpointOptions, digest

TRIALS, TABLE, BEST, REPORT = "trials.sqlite", "trials.json", "best.toml", "report.html"
RUNNING = "trial.checkpoint"  # where the trial stands that a run was ended in
KEPT_EVERY = 30.0  # seconds


class _Pruner(Watcher):
    # reports each epoch to a trial, ends it when it is behind, and interrupts it at the deadline, a
    # moment of time.monotonic; after `most` epochs there is nothing to be saved by ending it

    def __init__(self, trial: optuna.Trial, deadline: float, most: int) -> None:
        self._trial, self._deadline, self._most = trial, deadline, most
        self._epochs = 0
        self.lowest = float("inf")
        self.seconds = 0.0

    def batch(self, loss: float) -> None:  # noqa: ARG002  a watcher's
        if time.monotonic() > self._deadline:
            raise KeyboardInterrupt  # as if somebody had looked at the clock

    def epoch(self, epoch: Epoch) -> None:
        self._report(epoch)
        if self._epochs < self._most and self._trial.should_prune():
            raise optuna.TrialPruned

    def resumed(self, step: str, epochs: Sequence[Epoch]) -> None:  # noqa: ARG002  a watcher's
        for epoch in epochs:
            self._report(epoch)

    def _report(self, epoch: Epoch) -> None:
        self._epochs += 1
        self.lowest = min(self.lowest, epoch.valid_loss)
        self.seconds += epoch.seconds
        self._trial.report(self.lowest, self._epochs)


def tune(
    log: Log,
    valid: Log | None,
    schema: Schema,
    config: Config,
    out: Path,
    seed: int,
    trials: int | None,
    minutes: float | None,
    ended: Callable[[Ended], None],
    warned: Callable[[str], None],
) -> Tuned:
    """Search for settings. Where `out` holds a search of the same settings and rows, it is resumed,
    inside the trial that was interrupted. Writes trials.sqlite, trials.json, report.html and, with
    a winner, best.toml.

    Args:
        log: the rows to fit and, without `valid`, to judge on.
        valid: the rows to judge on, or None.
        schema: the fields.
        config: the first trial, and what is not searched for.
        out: the folder of the search.
        seed: of the draws and of every fit.
        trials: how many trials there are in the end, over all runs; None for no limit.
        minutes: how long this run takes; None for no limit. One of both must be given.
        ended: called with each trial that ended.
        warned: called with each line that `fit` would warn by.

    Raises:
        ConfigError: no budget, or `out` holds a search of other settings or rows.
        DataError: a log that cannot be trained on.
    """
    deadline = _deadline(trials, minutes)
    parts = prepare(log, valid, None, schema, config)
    train = sampled(parts.train, config, seed)
    config = config.settled(len(train), len(schema.fields))  # what is searched from are numbers
    vocabularies = vocabularies_of(schema, train)
    encoder = Encoder(schema, vocabularies)
    encoded = encode_rows(encoder, train, parts.valid, None, schema.task)
    warnings = cautions_before(parts, vocabularies, encoded)
    for caution in warnings:
        warned(caution)
    rows, held_out = encoded.seen, encoded.held_out
    counts = [len(parts.train), len(parts.valid)]
    settings = _settings(config, seed, schema, counts, digest(rows, held_out))
    with open_trials(
        out / TRIALS, settings, space(config), default_parameters(config), seed
    ) as found:
        search = _Search(config, encoder, rows, held_out, seed, trials, deadline, out / RUNNING)
        interrupted = search.run(found, ended)
        of_all = found.ended()
    best = best_of(of_all)
    winner = None if best is None else configured(config, best.parameters)
    judged_by = f"valid {parts.objective.criterion}"
    tuned = Tuned(judged_by, of_all, best, winner, interrupted, warnings)
    _write_results(out, tuned, config, settings)
    return tuned


def _deadline(trials: int | None, minutes: float | None) -> float:
    # a moment of time.monotonic
    if trials is None and minutes is None:
        raise ConfigError("a budget is needed: --trials or --minutes")
    for option, given in (("--trials", trials), ("--minutes", minutes)):
        if given is not None and not given > 0:
            raise ConfigError(f"{option} {given:g}: must be above 0")
    return time.monotonic() + 60 * (float("inf") if minutes is None else minutes)


def _settings(
    config: Config, seed: int, schema: Schema, rows: list[int], digest: str
) -> dict[str, Any]:
    # what all trials of a search share: under other settings it is not resumed
    return {
        "net": config.net,
        "seed": seed,
        "schema": schema.digest,
        "configuration": config.model_dump(mode="json"),
        "rows": rows,
        "log": digest[:16],
    }


def _write_results(out: Path, tuned: Tuned, config: Config, settings: dict[str, Any]) -> None:
    if tuned.config is not None:
        _write(out / BEST, tuned.config.dumps())
    _write(out / TABLE, json.dumps(_as_json(tuned), indent=2) + "\n")
    _write(out / REPORT, tune_report(tuned, config, settings))


@dataclass(frozen=True)
class _Search:
    config: Config
    encoder: Encoder
    train: TrainRows
    valid: Examples
    seed: int
    trials: int | None
    deadline: float
    running: Path

    def run(self, found: Trials, ended: Callable[[Ended], None]) -> bool:
        # whether it was interrupted
        try:
            while self.trials is None or len(found.ended()) < self.trials:
                if time.monotonic() > self.deadline:
                    return False
                if self._trial(found):
                    return True
                ended(found.ended()[-1])
        except KeyboardInterrupt:  # between two trials, or within the bookkeeping of one
            return True
        return False

    def _trial(self, found: Trials) -> bool:
        # whether it was interrupted: then the next run draws it again, and resumes it
        trial = found.begin()
        chosen = configured(self.config, trial.params)
        objective = objective_of(chosen, self.encoder.schema)
        most = len(chosen.warmup_nets) * chosen.fit.epochs + chosen.final_step.epochs
        watcher = _Pruner(trial, self.deadline, most)
        checkpoint = _checkpoint(self.running, {"trial": f"{len(found.ended())} {trial.params}"})
        torch.manual_seed(self.seed)
        torch.use_deterministic_algorithms(True)
        steps = Steps(chosen, self.encoder, self.train, self.valid, watcher, objective, checkpoint)
        try:
            trained = fit_net(steps)
        except optuna.TrialPruned:
            found.end(trial, watcher.lowest, None, watcher.seconds, pruned=True)
        else:
            if trained.interrupted:
                return True
            judged = objective.judge(logits(trained.net, self.valid), self.valid)
            found.end(trial, judged.loss, judged.auc, watcher.seconds, pruned=False)
        checkpoint.remove()
        return False


def _checkpoint(path: Path, inputs: dict[str, str]) -> Checkpoint:
    try:
        return Checkpoint(path, inputs, CheckpointOptions(resume=True, seconds=KEPT_EVERY))
    except AfmError:  # damaged, or of a trial that was ended just before the run was
        return Checkpoint(path, inputs, CheckpointOptions(seconds=KEPT_EVERY))


def _as_json(tuned: Tuned) -> dict[str, Any]:
    return {
        "criterion": tuned.criterion,
        "warnings": tuned.warnings,
        "best": None if tuned.best is None else tuned.best.number,
        "trials": [asdict(trial) for trial in tuned.trials],
    }


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())
