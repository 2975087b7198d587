"""The steps of a fit: the first one's nets, and the one that ends it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.encoding import Encoder
from model.nets import Net, NetSizes, build
from training.config import FOLDED, Config, SizedStep, Step
from training.cores import one_core_an_operation
from training.data.examples import EncodedRows
from training.device import Device
from training.fit.calibration import apply, as_good, calibrate
from training.fit.step.bias import fit_bias
from training.fit.step.count_classes import CountClasses
from training.fit.step.logits import logits
from training.fit.step.loop import run_step
from training.fit.step.objective import CLICK, Objective
from training.fit.step.unknown_drop import UnknownDrop
from training.fit.step.watcher import Epoch, Watcher
from training.state.adam_moments import Moments
from training.state.checkpoint import Checkpoint

SAMPLE = 1000  # rows that set the scales attention starts with


class Trained(NamedTuple):
    """A net at its best epoch. `first`: float32 [N], the logits that the rows held out had before:
    of the first step's net, named `base`, or of the bundle; None where it continues neither.
    """

    net: Net
    epochs: list[Epoch]
    interrupted: bool
    first: NDArray[np.float32] | None = None
    base: str = ""
    step: SizedStep | None = None  # the settings chosen of the step `fit`, where it was run


class FittedStep(NamedTuple):
    """A net of the step `fit` at its best epoch, and the settings chosen."""

    net: Net
    epochs: list[Epoch]
    interrupted: bool
    step: SizedStep


class Served(NamedTuple):
    """The criterion of a net on the rows held out, as it will be served, and what each of them adds
    to it, [N]; None where rows have no loss of their own.
    """

    loss: float
    each: NDArray[np.float64] | None

    def is_better(self, kept: "Served", weights: NDArray[np.float64]) -> bool:
        """Whether it is lower than that of `kept` by more than one standard error of the rows'
        differences; by anything, where rows have no loss of their own.
        """
        if not self.loss < kept.loss:
            return False
        if self.each is None or kept.each is None:
            return True
        return not as_good(kept.each, self.each, weights / weights.sum())


@dataclass(frozen=True)
class Steps:
    """What the steps of a fit share.

    Every epoch is judged with its bias solved for. So the epoch that is kept was chosen as it will
    be served, and the step that continues from it begins at the very loss that it was chosen by.
    """

    config: Config
    encoder: Encoder
    train: EncodedRows
    valid: EncodedRows
    watcher: Watcher
    objective: Objective = CLICK
    checkpoint: Checkpoint | None = None
    moments: Moments | None = None  # of the last step, see `run_step`
    one_pass: bool = False  # one epoch in the log's order, of the configured net alone

    def first(self, name: str) -> FittedStep:
        """The step `fit` of a net of its own; see `run_step`. Where several settings are tried, all
        begin alike, those with count classes first where the log has them. One replaces the one
        kept before it where its loss, calibrated, is lower by more than chance makes of the rows
        held out: of settings that seem equally good the first are kept. Ctrl-C ends the trying too.
        """
        classes = self._classes(name)
        classed = classes is not None and not self.one_pass
        tried = self.config.fit.tried(len(self.train), classed=classed)
        if name == "lr" or self.one_pass:  # lr has no embeddings
            tried = tried[:1]
        weights = self.valid.weights.double().numpy()
        best: tuple[Served, FittedStep] | None = None
        states = None
        for number, given in enumerate(tried, 1):
            step = given.model_copy(update={"count_classes": bool(given.count_classes and classes)})
            called = name if number == 1 else f"{name} {number}"
            if len(tried) > 1:
                self.watcher.tries(called, step)
            if self.moments is not None:
                self.moments.states = {}
            net, epochs, interrupted = self._fitted(
                name, called, step, classes if step.count_classes else None
            )
            served = self.as_served(net)
            if best is None or served.is_better(best[0], weights):
                named = [replace(epoch, step=name) for epoch in epochs]
                best = served, FittedStep(net, named, interrupted, step)
                states = None if self.moments is None else self.moments.states
            if interrupted:
                break
        assert best is not None  # noqa: S101  there is a step
        if self.moments is not None and states is not None:
            self.moments.states = states
        return best[1]._replace(interrupted=interrupted)

    def _classes(self, name: str) -> CountClasses | None:
        # where a step asks for them, the net can have them, and the log has fields of rare values
        config = self.config
        tried = config.fit.tried(len(self.train), classed=not self.one_pass)
        folded = FOLDED * config.of_classed_ffm(len(self.encoder.schema.fields))
        of_that_size = config.ffm_embedding in ("auto", folded)
        able = name == "ffm" and of_that_size and config.optimizer == "adam"
        if not able or not any(step.count_classes for step in tried):
            return None
        return CountClasses.of(self.encoder, self.train)

    def _fitted(
        self, name: str, called: str, step: SizedStep, classes: CountClasses | None
    ) -> tuple[Net, list[Epoch], bool]:
        # a new net after a step that its epochs name `called`, its count classes folded
        if classes is None:
            net = new_net(name, self.encoder, self.config)
            self._start_bias(net)
            return net, *self._run(called, net, step)
        fields = len(self.encoder.schema.fields)
        sizes, k = sizes_of(self.config, fields), self.config.of_classed_ffm(fields)
        net = classes.net(replace(sizes, ffm_embedding=k))
        self._start_bias(net)
        epochs, interrupted = self._run(called, net, step, classes=classes)
        if self.moments is not None:
            self.moments.states = classes.folded_moments(self.moments.states)
        folded = classes.folded(net, replace(sizes, ffm_embedding=FOLDED * k))
        return folded, epochs, interrupted

    def _start_bias(self, net: Net) -> None:
        with torch.no_grad():
            net.bias.fill_(self.objective.start(self.train))

    def as_served(self, net: Net) -> Served:
        """The criterion on the rows held out, of task click with the logits on the line that
        calibration will put them on. A penalty on w makes them too small where clicks are rare: as
        they are, they would hide which settings rank best.
        """
        scores = logits(net, self.valid)
        if self.objective.task == "click" and self.config.calibration != "none":
            labels, weights = (
                getattr(self.valid, name).double().numpy() for name in ("labels", "weights")
            )
            log_rate, x = self.objective.log_rate, scores.astype(np.float64)
            line = calibrate(x, labels, weights, "platt", math.exp(log_rate)).calibration
            scores = (apply(line, x) - log_rate).astype(np.float32)
        each = self.objective.each_row(scores, self.valid)
        return Served(self.objective.judge(scores, self.valid).loss, each)

    def last(
        self,
        net: Net,
        after_epoch: Callable[[Net], None] | None = None,
        after: SizedStep | None = None,
    ) -> tuple[list[Epoch], bool]:
        """The step that ends a fit of the configured net, in place; see `run_step`. `after`: the
        settings chosen of the step before it.
        """
        fields = len(self.encoder.schema.fields)
        step = self.config.settled(len(self.train), fields, after).final_step
        return self._run(self.config.net, net, step, after_epoch)

    def _run(
        self,
        name: str,
        net: Net,
        step: Step,
        after_epoch: Callable[[Net], None] | None = None,
        classes: CountClasses | None = None,
    ) -> tuple[list[Epoch], bool]:
        drop: Callable[[Tensor], Tensor] = UnknownDrop.of(self.encoder, step.unknown_rate)
        train, valid = self.train, self.valid
        if self.one_pass:
            step = step.model_copy(update={"epochs": min(step.epochs, 1)})
        if classes is not None:
            train, valid, drop = classes.fed(train), classes.fed(valid), classes.dropping(drop)

        def after(net: Net) -> None:
            if after_epoch is not None:
                after_epoch(net)
            if self.objective.task == "click":
                fit_bias(net, train, valid, self.objective.log_rate)

        last = not self.config.warmup_nets or name == self.config.net
        moments = self.moments if last else None
        return run_step(
            name,
            net,
            step,
            train,
            valid,
            drop,
            self.watcher,
            self.objective,
            after,
            self.checkpoint,
            moments,
            kernels=self.config.kernels,
            lazy=self.config.optimizer == "lazy_adam",
            one_pass=self.one_pass,
            device=Device.of(self.config),
        )


@one_core_an_operation()
def fit_net(steps: Steps) -> Trained:
    """Fit the configured net in its steps.

    A net with attention continues from a fitted FM: the paper's pre-training (section 4.1). In one
    pass there is no time for it.
    """
    config, train = steps.config, steps.train
    if steps.one_pass or not config.warmup_nets:
        only = steps.first(config.net)
        return Trained(only.net, only.epochs, only.interrupted, step=only.step)
    epochs: list[Epoch] = []
    best: tuple[float, str, FittedStep, NDArray[np.float32]] | None = None
    for name in config.warmup_nets:
        fitted = steps.first(name)
        epochs += fitted.epochs
        interrupted = fitted.interrupted
        first = logits(fitted.net, steps.valid)
        loss = steps.objective.judge(first, steps.valid).loss
        if best is None or loss < best[0]:
            best = loss, name, fitted, first
        if interrupted:
            break
    assert best is not None  # noqa: S101  there is a first step
    _, base, fitted, first = best
    net = new_net(config.net, steps.encoder, config)
    some = train.every(1, SAMPLE)
    net.start_from(fitted.net, some.ids, some.values)
    if not interrupted:
        more, interrupted = steps.last(net, after=fitted.step)
        epochs += more
    return Trained(net, epochs, interrupted, first, base, fitted.step)


def new_net(name: str, encoder: Encoder, config: Config) -> Net:
    """A net of the configured sizes over the encoder's table, as it is before its first step."""
    sizes = sizes_of(config, len(encoder.schema.fields))
    return build(name, encoder.rows, encoder.slot_fields, sizes)


def sizes_of(config: Config, fields: int) -> NetSizes:
    """The configured sizes of a net of M = `fields`."""
    return NetSizes(
        config.embedding,
        config.attention_size,
        config.init_std,
        config.of_ffm(fields),
        config.hidden,
        **config.afm_plus.model_dump(exclude={"start"}),
    )
