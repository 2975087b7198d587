"""The steps of a fit: the first one's nets, and the one that ends it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoding import Encoder
from model.nets import Net, Settings, build
from model.vocabulary import FIRST, UNKNOWN
from training.config import Config, Step
from training.data.examples import Examples
from training.fit.bias_level import settle_level
from training.fit.loop import CLICK, Epoch, UnknownDrop, Watcher, logits, run_step
from training.fit.objective import Objective
from training.state.adam_moments import Moments
from training.state.checkpoint import Checkpoint

SAMPLE = slice(0, 1000)  # rows that set the scales attention starts with


class Trained(NamedTuple):
    """A net at its best epoch. `first`: float32 [N], the logits that the rows held out had before:
    of the first step's net, named `base`, or of the bundle; None where it went on from neither.
    """

    net: Net
    epochs: list[Epoch]
    interrupted: bool
    first: NDArray[np.float32] | None = None
    base: str = ""


@dataclass(frozen=True)
class Steps:
    """What the steps of a fit share.

    Every epoch is judged with its level settled. So the epoch that is kept has won as it will be
    served, and the step that goes on from it begins at the very loss that it was chosen by.
    """

    config: Config
    encoder: Encoder
    train: Examples
    valid: Examples
    watcher: Watcher
    objective: Objective = CLICK
    checkpoint: Checkpoint | None = None
    moments: Moments | None = None  # of the last step, see `run_step`

    def first(self, name: str) -> tuple[Net, list[Epoch], bool]:
        """The step `fit` of a net of its own; see `run_step`."""
        net = new_net(name, self.encoder, self.config)
        with torch.no_grad():
            net.bias.fill_(self.objective.start(self.train))
        return net, *self._run(name, net, self.config.fit)

    def last(self, net: Net, mend: Callable[[Net], None] | None = None) -> tuple[list[Epoch], bool]:
        """The step that ends a fit of the configured net, in place; see `run_step`."""
        return self._run(self.config.net, net, self.config.last_step, mend)

    def _run(
        self, name: str, net: Net, step: Step, mend: Callable[[Net], None] | None = None
    ) -> tuple[list[Epoch], bool]:
        def mended(net: Net) -> None:
            if mend is not None:
                mend(net)
            if self.objective.task == "click":
                settle_level(net, self.train, self.valid, self.objective.log_rate)

        drop = _unknown_drop(self.encoder, step.unknown_rate)
        how = self.watcher, self.objective, mended, self.checkpoint
        moments = self.moments if name == self.config.net else None
        return run_step(name, net, step, self.train, self.valid, drop, *how, moments)


def fit_net(steps: Steps) -> Trained:
    """Fit the configured net in its steps.

    A net with attention goes on from a fitted FM: the paper's pre-training (section 4.1).
    """
    config, train = steps.config, steps.train
    if not config.first_steps:
        return Trained(*steps.first(config.net))
    epochs: list[Epoch] = []
    best: tuple[float, str, Net, NDArray[np.float32]] | None = None
    for name in config.first_steps:
        fitted, more, interrupted = steps.first(name)
        epochs += more
        first = logits(fitted, steps.valid)
        loss = steps.objective.judge(first, steps.valid).loss
        if best is None or loss < best[0]:
            best = loss, name, fitted, first
        if interrupted:
            break
    assert best is not None  # noqa: S101  there is a first step
    _, base, fitted, first = best
    net = new_net(config.net, steps.encoder, config)
    net.start_from(fitted, train.ids[SAMPLE], train.values[SAMPLE])
    if not interrupted:
        more, interrupted = steps.last(net)
        epochs += more
    return Trained(net, epochs, interrupted, first, base)


def new_net(name: str, encoder: Encoder, config: Config) -> Net:
    """A net of the configured sizes over the encoder's table, as it is before its first step."""
    settings = Settings(
        config.embedding,
        config.attention_size,
        config.init_std,
        config.ffm_embedding,
        config.hidden,
        **config.afm_plus.model_dump(exclude={"start"}),
    )
    return build(name, encoder.rows, encoder.slot_fields, settings)


def _unknown_drop(encoder: Encoder, rate: float) -> UnknownDrop:
    unknown = torch.from_numpy(encoder.offsets + UNKNOWN)
    first = np.where(encoder.droppable, encoder.offsets + FIRST, encoder.rows)
    return UnknownDrop(unknown, torch.from_numpy(first), rate)
