"""The training loop: one step of a fit, from a net's present parameters to its best epoch."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.nets import Net
from training import group
from training.config import Step
from training.data.examples import EncodedRows
from training.device import IN_MEMORY, Device
from training.fit.step.best_epoch import BestEpoch
from training.fit.step.logits import logits
from training.fit.step.objective import CLICK, Objective
from training.fit.step.one_epoch import SoFar, one_epoch
from training.fit.step.progressive import Progressive
from training.fit.step.unknown_drop import uses_of
from training.fit.step.watcher import Epoch, Watcher
from training.kernels.compiled import announcing
from training.kernels.optimisers import gather_moments, optimiser_of, shares_of
from training.kernels.passes import pass_of
from training.state.adam_moments import Moments
from training.state.checkpoint import Checkpoint, StepState

DIVERGED_CUT = 0.1  # of the learning rate, where it made losses that are not finite


def run_step(
    name: str,
    net: Net,
    step: Step,
    train: EncodedRows,
    valid: EncodedRows,
    drop: Callable[[Tensor], Tensor],
    watcher: Watcher,
    objective: Objective = CLICK,
    after_epoch: Callable[[Net], None] | None = None,
    checkpoint: Checkpoint | None = None,
    moments: Moments | None = None,
    *,
    kernels: bool = True,
    lazy: bool = False,
    one_pass: bool = False,
    device: Device = IN_MEMORY,
) -> tuple[list[Epoch], bool]:
    """Fit `net` in place and leave it at the epoch with the lowest criterion on `valid`.

    The state before the first epoch counts as epoch 0, so a step never ends worse than it began. An
    epoch whose losses are not finite is an epoch without gain: the net is put back to its best
    state, and begins again with a much smaller step.

    Args:
        name: what the step is called in its epochs and in the checkpoint.
        net: the net, at the parameters to begin with.
        step: the settings of the step.
        train, valid: the rows to train on, and those that judge an epoch.
        drop: changes the ids [B, F] of a batch before they are fed.
        watcher: is called with the progress.
        objective: the loss of a batch and the criterion of an epoch.
        after_epoch: may change the net after an epoch, before it is judged.
        checkpoint: keeps the state, and has the step continue where it stood.
        moments: Adam continues from these, if they hold any; they are left as those of the epoch
            that the net is left at.
        kernels: whether compiled kernels may do the work.
        lazy: whether Adam of the tables is lazy.
        one_pass: whether `train` comes in its order, each row scored before it is trained on.
        device: where the net is during the step.

    Returns:
        The epochs, and whether Ctrl-C ended the step early.
    """
    with device.holding(net):
        best = BestEpoch(net, valid, objective, moments)
        how = kernels, lazy, one_pass, device
        run = StepRun(name, net, step, train, drop, watcher, objective, best, *how)
        if checkpoint is not None and run.resume(checkpoint):
            return run.epochs, False
        try:
            _run_epochs(run, valid, after_epoch, checkpoint, name)
        except KeyboardInterrupt:
            watcher.interrupted(name)
            return run.epochs, True
        finally:
            best.put_back()
        if checkpoint is not None:
            checkpoint.finish(name, run.final_state())
        return run.epochs, False


def _run_epochs(
    run: "StepRun",
    valid: EncodedRows,
    after_epoch: Callable[[Net], None] | None,
    checkpoint: Checkpoint | None,
    name: str,
) -> None:
    while run.goes_on:
        finite = run.epoch(valid, after_epoch, lambda: _keep_within(run, checkpoint, name))
        if checkpoint is not None and finite and run.is_patient:
            _keep_if(checkpoint.is_due, run, checkpoint, name)


def _keep_within(run: "StepRun", checkpoint: Checkpoint | None, name: str) -> None:
    if checkpoint is not None:
        _keep_if(checkpoint.is_due_within, run, checkpoint, name)


def _keep_if(is_due: bool, run: "StepRun", checkpoint: Checkpoint, name: str) -> None:
    # processes that share the fit have to agree: each has a part of the state
    if group.agreed(is_due):
        checkpoint.keep(name, run.state())


class StepRun:
    """A step between two of its epochs; the parameters are those of `run_step`."""

    def __init__(
        self,
        name: str,
        net: Net,
        step: Step,
        train: EncodedRows,
        drop: Callable[[Tensor], Tensor],
        watcher: Watcher,
        objective: Objective,
        best: BestEpoch,
        kernels: bool,
        lazy: bool,
        one_pass: bool,
        device: Device,
    ) -> None:
        self._name, self._net, self._step, self._train = name, net, step, train
        self._drop, self._watcher, self._objective, self._best = drop, watcher, objective, best
        self._sized = step.sized(len(train))
        self._one_pass = one_pass
        self._shares = None
        if lazy:
            uses = uses_of(train, drop, len(net.linear))
            self._shares = shares_of(uses, len(train), self._sized.batch)
        self._optimiser = optimiser_of(net, self._sized, self._sized.learning_rate, self._shares)
        if best.moments is not None:
            best.moments.restore(net, self._optimiser)
        for key, dropout in net.dropouts().items():
            dropout.set_rate(getattr(self._sized, key))
        self._pass = pass_of(net, kernels=kernels, row_wise=lazy, device=device)
        self._attempts = self._diverged = 0
        self._so_far: SoFar | None = None  # of the epoch that is being run
        self.epochs: list[Epoch] = []
        batches = -(-len(train) // self._sized.batch)
        watcher.begin(name, batches, step.epochs, len(train))

    @property
    def is_patient(self) -> bool:
        """Whether fewer epochs in a row were without gain than end a step."""
        return self._best.without_gain < self._step.patience

    @property
    def goes_on(self) -> bool:
        """Whether another epoch follows."""
        return self._attempts < self._step.epochs and self.is_patient

    def epoch(
        self,
        valid: EncodedRows,
        after_epoch: Callable[[Net], None] | None,
        after_batch: Callable[[], None],
    ) -> bool:
        """Run an epoch, or the rest of one, and judge it on `valid`; returns whether its losses are
        finite.
        """
        self._attempts += 1
        self._so_far = self._so_far or SoFar(torch.get_rng_state())
        progressive = self._progressive(self._so_far)
        began = time.perf_counter()
        with announcing(self._watcher.said):
            train_loss = one_epoch(
                self._net,
                self._pass,
                self._optimiser,
                self._sized.batch,
                self._train,
                self._drop,
                self._watcher,
                self._objective,
                self._attempts,
                self._so_far,
                after_batch,
                *(() if progressive is None else (progressive.score,)),
            )
        self._so_far = None
        if after_epoch is not None:
            after_epoch(self._net)
        scores = logits(self._net, valid)
        if not (np.isfinite(train_loss) and np.isfinite(scores).all()):
            self._begin_again()
            return False
        rate = self._optimiser.param_groups[0]["lr"]
        valid_loss, auc = self._objective.judge(scores, valid)
        gained = valid_loss < self._best.loss
        self.epochs.append(
            Epoch(
                self._name,
                len(self.epochs) + 1,
                train_loss,
                valid_loss,
                auc,
                rate,
                time.perf_counter() - began,
                gained,
                self._diverged,
                None if progressive is None else progressive.windows,
            )
        )
        self._diverged = 0
        self._watcher.epoch(self.epochs[-1])
        if not self._best.judge(valid_loss, self._optimiser):
            for group in self._optimiser.param_groups:
                group["lr"] *= self._step.cut
        return True

    def _progressive(self, so_far: SoFar) -> Progressive | None:
        if not self._one_pass:
            return None
        how = self._train, self._sized.batch, self._objective, self._watcher.said
        return Progressive(*how, so_far.progressive)

    def _begin_again(self) -> None:
        # after losses that are not finite: from the best epoch, with a much smaller step
        self._best.without_gain += 1
        self._diverged += 1
        if not self.is_patient:
            return
        self._best.put_back()
        rate = self._optimiser.param_groups[0]["lr"] * DIVERGED_CUT
        # the moments are ruined as well
        self._optimiser = optimiser_of(self._net, self._sized, rate, self._shares)
        self._watcher.diverged(self._name, len(self.epochs) + 1, rate)

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Continue where the step stood, if it is in `checkpoint`; returns whether it was done."""
        kept = checkpoint.of(self._name)
        if kept is None:
            return False
        self.epochs = [Epoch(**epoch) for epoch in kept.epochs]
        self._diverged = kept.diverged
        self._attempts = len(self.epochs) + sum(epoch.diverged for epoch in self.epochs)
        self._attempts += self._diverged
        self._net.load_state_dict(kept.net)
        torch.set_rng_state(kept.random)
        self._watcher.resumed(self._name, self.epochs)
        if self._best.moments is not None and kept.moments is not None:
            self._best.moments.states = kept.moments
        if kept.optimiser is None or kept.best is None:
            return True
        self._optimiser.load_state_dict(kept.optimiser)
        self._best.loss, self._best.state = kept.best_loss, kept.best
        self._best.without_gain = kept.without_gain
        if kept.within is not None:
            self._so_far = SoFar(**kept.within)
            rows = f"behind {self._so_far.rows:,} of {len(self._train):,} rows"
            self._watcher.said(f"{self._name} epoch {self._attempts + 1}: continues {rows}")
        return False

    def state(self) -> StepState:
        """What the step is resumed from. All processes that share the fit call it, or none."""
        self._pass.gather()
        gather_moments(self._optimiser)
        best = self._best
        moments = None if best.moments is None else best.moments.states
        optimiser = self._optimiser.state_dict()
        return self._state(optimiser, best.state, best.loss, best.without_gain, moments)

    def final_state(self) -> StepState:
        """What is kept of the step when it is done."""
        state, moments = self._state(), self._best.moments
        return state if moments is None else replace(state, moments=moments.states)

    def _state(self, *running: Any) -> StepState:
        epochs = list(map(asdict, self.epochs))
        state = StepState(self._net.state_dict(), epochs, torch.get_rng_state(), *running)
        if self._so_far is None:
            return state
        return replace(state, within=dict(vars(self._so_far)), diverged=self._diverged)
