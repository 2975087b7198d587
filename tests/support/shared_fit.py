"""Steps of nets as one process of a group, for tests: prints each net's weights as a digest."""

import hashlib
import json
import os
import sys
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor

from model.encoding import Encoded
from model.nets import NetSizes, build
from training.config import Step
from training.data.examples import Examples
from training.fit.step.loop import run_step
from training.fit.step.objective import Objective
from training.fit.step.watcher import Watcher
from training.kernels import group

NETS = [("lr", False), ("fm", True), ("ffm", True), ("afm", False), ("afm+", True), ("nfm", False)]
V, F = 500, 5


class EndsItself(Watcher):
    """Ends its process after some batches, as kill -9 would."""

    def __init__(self, after: int) -> None:
        self.left = after

    def batch(self, loss: float) -> None:  # noqa: ARG002  a watcher's
        self.left -= 1
        if not self.left:
            os._exit(9)


def examples(rows: int, seed: int) -> Examples:
    """Rows of labels that depend on their values, in groups of four."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, (rows, F))
    effect = np.random.default_rng(99).normal(size=V)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-effect[ids].sum(1)))).astype(np.float32)
    ones = np.ones((rows, F), np.float32)
    return Examples.of(Encoded(ids, ones), labels, None, np.arange(rows) // 4)


def unchanged(ids: Tensor) -> Tensor:
    """A batch as it is."""
    return ids


def weights(name: str, watcher: Watcher, *, lazy: bool, task: str) -> str:
    """The digest of a net's weights after a step."""
    torch.manual_seed(0)
    net = build(name, V, range(F), NetSizes(embedding=5, attention=3, init_std=0.1))
    step = Step(epochs=2, batch=300, learning_rate=0.01, dropout=0.2 if "afm" in name else 0.0)
    rows = examples(1500, 0), examples(700, 1)
    run_step("step", net, step, *rows, unchanged, watcher, Objective(task), lazy=lazy)
    return hashlib.sha256(b"".join(_bytes(p) for p in net.state_dict().values())).hexdigest()


def _bytes(parameter: Tensor) -> bytes:
    return parameter.numpy().tobytes()


def main(first: str, number: int, members: int, ends: int) -> None:
    """Fit; `ends`: the member that ends itself in its third batch, or -1."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    watcher = EndsItself(3) if ends == number else Watcher()
    with group.joined(first, number, members, timedelta(seconds=60)):
        found = {
            f"{name} {lazy} {task}": weights(name, watcher, lazy=lazy, task=task)
            for name, lazy, task in [
                *((name, lazy, "click") for name, lazy in NETS),
                ("fm", True, "ranking"),
            ]
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
