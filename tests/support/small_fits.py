"""Nets fitted for a few epochs on rows of a few values."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.encoding import Encoded
from model.nets import NetSizes, build
from model.nets.net import Net
from training.config import Step
from training.data.examples import Examples
from training.device import IN_MEMORY, Device
from training.fit.step.logits import logits
from training.fit.step.loop import run_step
from training.fit.step.watcher import Watcher

V, F = 30, 4


def examples(rows: int = 400, seed: int = 0, weights: np.ndarray | None = None) -> Examples:
    """Rows with clicks that depend on their values."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, (rows, F))
    effect = np.random.default_rng(99).normal(size=V)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-effect[ids].sum(1)))).astype(np.float32)
    return Examples.of(Encoded(ids, np.ones((rows, F), np.float32)), labels, weights)


def keep(ids: Tensor) -> Tensor:
    """No value is fed as unknown."""
    return ids


def fitted(
    step: Step,
    name: str = "lr",
    train: Examples | None = None,
    watcher: Watcher | None = None,
    device: Device = IN_MEMORY,
) -> Any:
    """A net of one step, its epochs, and whether it was interrupted."""
    torch.manual_seed(0)
    net = build(name, V, range(F), NetSizes(embedding=3, attention=3, init_std=0.3))
    rows = train or examples(), examples(seed=1)
    run = run_step("step", net, step, *rows, keep, watcher or Watcher(), device=device)
    return net, *run


def valid_loss(net: Net) -> float:
    """The mean loss on other rows than those of `examples()`."""
    valid = examples(seed=1)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(logits(net, valid)), valid.labels
    )
    return float(loss)
