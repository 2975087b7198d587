"""One trial of a search: its parameters drawn, its net fitted, and ended where it is hopeless.

A trial knows the trials of the rounds before its own and no others. So what is drawn for it, and
whether it is ended, does not depend on which of its round is done first, or where.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import optuna
import torch
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from model.encoding import Encoder
from model.errors import AfmError
from training.config import Config
from training.cores import only_deterministic
from training.data.examples import EncodedRows
from training.fit.step.logits import logits
from training.fit.step.objective import objective_of
from training.fit.step.watcher import Epoch, Watcher
from training.fit.steps import Steps, fit_net
from training.search.space import Parameters, configured, default_parameters, space
from training.state.checkpoint import Checkpoint, CheckpointOptions

KEPT_EVERY = 30.0  # seconds


@dataclass(frozen=True)
class Search:
    """What the trials of a search share. `out`: the folder, where unfinished trials are kept;
    `deadline`: a moment of time.time() at which they are interrupted.
    """

    config: Config
    encoder: Encoder
    train: EncodedRows
    valid: EncodedRows
    seed: int
    out: Path
    deadline: float


@dataclass(frozen=True)
class Trial:
    """A trial to come. `number`: how many are before it; `earlier`: those of the rounds before."""

    number: int
    earlier: Sequence[FrozenTrial]


class Outcome(NamedTuple):
    """What a trial came to, as `Ended` has it; `curve`: the lowest loss up to each epoch."""

    parameters: Parameters
    loss: float
    auc: float | None
    seconds: float
    curve: tuple[float, ...]
    is_pruned: bool


def running(out: Path, number: int) -> Path:
    """Where an unfinished trial is kept."""
    return out / f"trial-{number + 1}.checkpoint"


def run_trial(search: Search, trial: Trial) -> Outcome | None:
    """Fit it, from where it was interrupted; None where it is interrupted again."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # the command says it in its own words
    drawn = _drawn(search, trial)
    chosen = configured(search.config, drawn.params)
    objective = objective_of(chosen, search.encoder.schema)
    most = len(chosen.warmup_nets) * chosen.fit.epochs + chosen.final_step.epochs
    watcher = _Pruner(drawn, search.deadline, most)
    inputs = {"trial": f"{trial.number} {drawn.params}"}
    checkpoint = _checkpoint(running(search.out, trial.number), inputs)
    torch.manual_seed(search.seed)
    only_deterministic()
    rows = search.encoder, search.train, search.valid
    steps = Steps(chosen, *rows, watcher, objective, checkpoint)
    try:
        trained = fit_net(steps)
    except optuna.TrialPruned:
        return Outcome(
            drawn.params, watcher.curve[-1], None, watcher.seconds, tuple(watcher.curve), True
        )
    if trained.interrupted:
        return None
    judged = objective.judge(logits(trained.net, search.valid), search.valid)
    return Outcome(
        drawn.params, judged.loss, judged.auc, watcher.seconds, tuple(watcher.curve), False
    )


def _drawn(search: Search, trial: Trial) -> optuna.Trial:
    # in a study of its own, which has nothing but the earlier trials
    study = optuna.create_study(
        direction="minimize",
        sampler=TPESampler(seed=(search.seed * 1_000_003 + trial.number) % 2**32),
        pruner=MedianPruner(n_startup_trials=4, n_warmup_steps=3),
    )
    study.add_trials(trial.earlier)
    if trial.number == 0:
        study.enqueue_trial(default_parameters(search.config))
    return study.ask(space(search.config))


def _checkpoint(path: Path, inputs: dict[str, str]) -> Checkpoint:
    try:
        return Checkpoint(path, inputs, CheckpointOptions(resume=True, seconds=KEPT_EVERY))
    except AfmError:  # damaged, or of another search
        return Checkpoint(path, inputs, CheckpointOptions(seconds=KEPT_EVERY))


class _Pruner(Watcher):
    # reports each epoch to a trial, ends it when it is behind, and interrupts it at the deadline;
    # after `most` epochs there is nothing to be saved by ending it

    def __init__(self, trial: optuna.Trial, deadline: float, most: int) -> None:
        self._trial, self._deadline, self._most = trial, deadline, most
        self.curve: list[float] = []
        self.seconds = 0.0

    def batch(self, loss: float) -> None:  # noqa: ARG002  a watcher's
        if time.time() > self._deadline:
            raise KeyboardInterrupt  # as if somebody had looked at the clock

    def epoch(self, epoch: Epoch) -> None:
        self._report(epoch)
        if len(self.curve) < self._most and self._trial.should_prune():
            raise optuna.TrialPruned

    def resumed(self, step: str, epochs: Sequence[Epoch]) -> None:  # noqa: ARG002  a watcher's
        for epoch in epochs:
            self._report(epoch)

    def _report(self, epoch: Epoch) -> None:
        self.curve.append(min([epoch.valid_loss, *self.curve[-1:]]))
        self.seconds += epoch.seconds
        self._trial.report(self.curve[-1], len(self.curve))
