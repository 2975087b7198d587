"""Steps of nets by processes of a group, for tests: each net's weights as a digest. With a file for
a checkpoint, a step that continues from it, with its moments.
"""

import hashlib
import json
import math
import os
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.encoding import Encoded
from model.nets import NetSizes, build
from training import group
from training.config import Step
from training.cores import only_deterministic
from training.data.examples import Examples
from training.fit.step.loop import run_step
from training.fit.step.objective import Objective
from training.fit.step.watcher import Watcher
from training.state.adam_moments import Moments
from training.state.checkpoint import Checkpoint, CheckpointOptions

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


def weights(
    name: str,
    watcher: Watcher,
    lazy: bool,
    task: str,
    checkpoint: Checkpoint | None = None,
    moments: Moments | None = None,
) -> str:
    """The digest of a net's weights after a step, and of the moments where they are kept."""
    torch.manual_seed(0)
    net = build(name, V, range(F), NetSizes(embedding=5, attention=3, init_std=0.1))
    step = Step(epochs=2, batch=300, learning_rate=0.01, dropout=0.2 if "afm" in name else 0.0)
    rows = examples(1500, 0), examples(700, 1)
    run_step(
        "step",
        net,
        step,
        *rows,
        unchanged,
        watcher,
        Objective(task),
        checkpoint=checkpoint,
        moments=moments,
        lazy=lazy,
    )
    found = [*net.state_dict().values()]
    for state in moments.states.values() if moments else ():
        found += state.values()
    return hashlib.sha256(b"".join(map(_bytes, found))).hexdigest()


def _bytes(parameter: Tensor) -> bytes:
    return parameter.numpy().tobytes()


def of_all(watcher: Watcher) -> dict[str, str]:
    """The digests of each net's weights."""
    kinds = [*((name, lazy, "click") for name, lazy in NETS), ("fm", True, "ranking")]
    return {
        f"{name} {lazy} {task}": weights(name, watcher, lazy, task) for name, lazy, task in kinds
    }


def continued(path: Path, number: int, watcher: Watcher) -> dict[str, str]:
    """The same of one net that goes on from a checkpoint, which the first member writes."""
    often = CheckpointOptions(resume=True, seconds=math.inf if number else 1e-9)
    kept = Checkpoint(path, {}, often)
    return {"afm+": weights("afm+", watcher, True, "click", kept, Moments())}


def member(first: str, number: int, members: int, ends: int, kept: Path | None) -> str:
    """The digests of a fit by one member of a group, as JSON. `ends`: the member that ends itself
    in its third batch, or -1.
    """
    watcher = EndsItself(3) if ends == number else Watcher()
    with group.joined(first, number, members, timedelta(seconds=60)):
        return json.dumps(continued(kept, number, watcher) if kept else of_all(watcher))


def copy_of_this_process(work: Callable[[], str]) -> tuple[int, int]:
    """Its id, and where what it says comes from."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            said, status = work(), 0
        except BaseException:
            said, status = traceback.format_exc(), 1
        os.write(writing, said.encode())
        os._exit(status)
    os.close(writing)
    return process, reading


def all_members(first: str, members: int, ends: int, kept: str | None) -> list[tuple[int, str]]:
    """The exit status of each, and what it said."""
    path = Path(kept) if kept else None
    copies = [
        copy_of_this_process(partial(member, first, number, members, ends, path))
        for number in range(members)
    ]
    answers = []
    for process, reading in copies:
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        answers.append((os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said))
    return answers


def main() -> None:
    """For each line of stdin, which describes a group, a line of its answers. Its members are
    copies of this process, which has loaded the kernels.
    """
    torch.set_num_threads(1)
    only_deterministic()
    of_all(Watcher())
    for line in sys.stdin:
        sys.stdout.write(json.dumps(all_members(*json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
