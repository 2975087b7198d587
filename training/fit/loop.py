"""The training loop: one step of a fit, from a net's present parameters to its best epoch."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.nets import Net
from training.config import SizedStep, Step
from training.data.examples import Examples
from training.fit.objective import Objective
from training.kernels.compiled import announcing
from training.kernels.optimisers import optimiser_of, shares_of
from training.kernels.passes import Pass, pass_of
from training.state.adam_moments import Moments
from training.state.checkpoint import Checkpoint, StepState

SCORED_AT_ONCE = 256  # whose pair vectors stay in the cache: twice as fast as 2048
DIVERGED_CUT = 0.1  # of the learning rate, where it made losses that are not finite
CLICK = Objective()


@dataclass(frozen=True)
class UnknownDrop:
    """Feeds some values as unknown ones, so that the unknown rows are trained.

    `rows`: int64 [F], the unknown row of each slot. `first`: int64 [F], the first row of its
    vocabulary, beyond the table where the slot has none.
    """

    rows: Tensor
    first: Tensor
    rate: float

    def __call__(self, ids: Tensor) -> Tensor:
        """The ids [B, F] with a share `rate` of the known values made unknown."""
        if not self.rate:
            return ids
        drop = (torch.rand(ids.shape) < self.rate) & (ids >= self.first)
        return torch.where(drop, self.rows, ids)


def uses_of(train: Examples, drop: Callable[[Tensor], Tensor], rows: int) -> Tensor:
    """How often an epoch is expected to feed each of the `rows` of the tables, float64 [V]."""
    present = train.values != 0
    uses = torch.bincount(train.ids[present], minlength=rows).double()
    if isinstance(drop, UnknownDrop) and drop.rate:
        known = present & (train.ids >= drop.first)
        uses -= drop.rate * torch.bincount(train.ids[known], minlength=rows)
        uses.index_add_(0, drop.rows, drop.rate * known.sum(0, dtype=torch.float64))
    return uses


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to; `seconds` it took, `best` so far or not.

    `valid_loss` is the objective's criterion on the rows held out; `valid_auc` their AUC, GAUC for
    task ranking, None where it is undefined. `diverged`: how many attempts at it before came to
    losses that are not finite.
    """

    step: str
    number: int
    train_loss: float
    valid_loss: float
    valid_auc: float | None
    learning_rate: float
    seconds: float
    best: bool
    diverged: int = 0


class Watcher:
    """Is told how a fit goes on; this one keeps silent."""

    def begin(self, step: str, batches: int, epochs: int) -> None:
        """A step begins, of at most `epochs` epochs of `batches` batches."""

    def batch(self, loss: float) -> None:
        """A batch is done, at this running mean loss."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""

    def tries(self, step: str, settings: SizedStep) -> None:
        """Of several settings of a step these come next; `step` is what its epochs are called."""

    def diverged(self, step: str, number: int, learning_rate: float) -> None:
        """The losses of an epoch are not finite: it begins again from the best one so far, at this
        learning rate.
        """

    def resumed(self, step: str, epochs: Sequence[Epoch]) -> None:
        """The step continues after the epochs of a fit that was killed."""

    def said(self, line: str) -> None:
        """What the fit is doing that takes a while."""

    def warned(self, line: str) -> None:
        """Something about the fit that must not pass in silence."""

    def stage(self, what: str) -> None:
        """What follows the last epoch, and takes a while."""

    def interrupted(self, step: str) -> None:
        """Ctrl-C ended the step; its best epoch is kept."""


def logits(net: Net, examples: Examples) -> NDArray[np.float32]:
    """The net's logits [N], without dropout."""
    net.eval()
    with torch.no_grad():
        parts = [
            net(examples.ids[i : i + SCORED_AT_ONCE], examples.values[i : i + SCORED_AT_ONCE])
            for i in range(0, len(examples), SCORED_AT_ONCE)
        ]
    scored: NDArray[np.float32] = torch.cat(parts).numpy()
    return scored


def run_step(
    name: str,
    net: Net,
    step: Step,
    train: Examples,
    valid: Examples,
    drop: Callable[[Tensor], Tensor],
    watcher: Watcher,
    objective: Objective = CLICK,
    mend: Callable[[Net], None] | None = None,
    checkpoint: Checkpoint | None = None,
    moments: Moments | None = None,
    *,
    kernels: bool = True,
    lazy: bool = False,
) -> tuple[list[Epoch], bool]:
    """Fit `net` in place and leave it at the epoch with the lowest criterion on `valid`. `mend`
    may change the net after an epoch, before it is judged. A `checkpoint` keeps the state, and has
    the step go on where it stood. Adam goes on from `moments`, if they hold any, and leaves in them
    those of the epoch that the net is left at. `kernels`: whether compiled ones may do the work.
    `lazy`: whether Adam is, of the tables.

    The state before the first epoch counts as epoch 0, so a step never ends worse than it began. An
    epoch whose losses are not finite is an epoch without gain: the net is put back to its best
    state, and begins again with a much smaller step. Returns the epochs, and whether Ctrl-C cut it
    short.
    """
    sized = step.sized(len(train))
    shares = None
    if lazy:
        shares = shares_of(uses_of(train, drop, len(net.linear)), len(train), sized.batch)
    optimiser = optimiser_of(net, sized, sized.learning_rate, shares)
    if moments is not None:
        moments.restore(net, optimiser)
    for key, dropout in net.dropouts().items():
        dropout.set_rate(getattr(sized, key))
    by_pass = pass_of(net, kernels=kernels, row_wise=lazy)
    watcher.begin(name, -(-len(train) // sized.batch), step.epochs)
    epochs: list[Epoch] = []
    start = logits(net, valid)
    # any finite loss is a gain over one that is not
    best_loss = objective.judge(start, valid).loss if np.isfinite(start).all() else np.inf
    best_state = copy.deepcopy(net.state_dict())
    without_gain = diverged = 0
    kept = None if checkpoint is None else checkpoint.of(name)
    if kept is not None:
        epochs = [Epoch(**epoch) for epoch in kept.epochs]
        net.load_state_dict(kept.net)
        torch.set_rng_state(kept.random)
        watcher.resumed(name, epochs)
        if moments is not None and kept.moments is not None:
            moments.states = kept.moments
        if kept.optimiser is None or kept.best is None:  # it was done
            return epochs, False
        optimiser.load_state_dict(kept.optimiser)
        best_loss, best_state, without_gain = kept.best_loss, kept.best, kept.without_gain
    try:
        for _ in range(len(epochs) + sum(epoch.diverged for epoch in epochs), step.epochs):
            number = len(epochs) + 1
            began = time.perf_counter()
            with announcing(watcher.said):
                train_loss = one_epoch(
                    net, by_pass, optimiser, sized.batch, train, drop, watcher, objective
                )
            if mend is not None:
                mend(net)
            rate = optimiser.param_groups[0]["lr"]
            scores = logits(net, valid)
            if not (np.isfinite(train_loss) and np.isfinite(scores).all()):
                without_gain, diverged = without_gain + 1, diverged + 1
                if without_gain >= step.patience:
                    break
                net.load_state_dict(best_state)
                rate *= DIVERGED_CUT
                optimiser = optimiser_of(net, sized, rate, shares)  # the moments are ruined as well
                watcher.diverged(name, number, rate)
                continue
            valid_loss, auc = objective.judge(scores, valid)
            gained = valid_loss < best_loss
            epochs.append(
                Epoch(
                    name,
                    number,
                    train_loss,
                    valid_loss,
                    auc,
                    rate,
                    time.perf_counter() - began,
                    gained,
                    diverged,
                )
            )
            diverged = 0
            watcher.epoch(epochs[-1])
            if gained:
                best_loss, best_state = valid_loss, copy.deepcopy(net.state_dict())
                without_gain = 0
                if moments is not None:
                    moments.capture(net, optimiser)
            else:
                without_gain += 1
                if without_gain >= step.patience:
                    break
                for group in optimiser.param_groups:
                    group["lr"] *= step.cut
            if checkpoint is not None and checkpoint.is_due:
                of_best = None if moments is None else moments.states
                running = optimiser.state_dict(), best_state, best_loss, without_gain, of_best
                checkpoint.keep(name, _state(net, epochs, *running))
    except KeyboardInterrupt:
        watcher.interrupted(name)
        return epochs, True
    finally:
        net.load_state_dict(best_state)
    if checkpoint is not None:
        done = _state(net, epochs)
        checkpoint.finish(name, done if moments is None else replace(done, moments=moments.states))
    return epochs, False


def _state(net: Net, epochs: list[Epoch], *running: Any) -> StepState:
    return StepState(net.state_dict(), list(map(asdict, epochs)), torch.get_rng_state(), *running)


def one_epoch(
    net: Net,
    by_pass: Pass,
    optimiser: torch.optim.Optimizer,
    size: int,
    train: Examples,
    drop: Callable[[Tensor], Tensor],
    watcher: Watcher,
    objective: Objective,
) -> float:
    """Feed all rows once, in batches of `size`; returns their mean loss."""
    net.train()
    total, seen = 0.0, 0
    for rows in train.batches(size):
        optimiser.zero_grad(set_to_none=True)
        judged = objective.judged(train, rows)
        loss = by_pass(drop(train.ids[rows]), train.values[rows], judged)
        optimiser.step()
        total += loss * len(rows)
        seen += len(rows)
        watcher.batch(total / seen)
    return total / seen
