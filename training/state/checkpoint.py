"""What a killed fit is resumed from: where its steps stood after an epoch, or within one, in a file
beside the bundle that it was to write.

A step that is resumed does to the bit what it would have done: the state holds the parameters,
Adam's moments and learning rate, the best epoch so far and the random numbers to come. What lies
between two steps is computed again, since it depends on nothing else.

>>> checkpoint_path(Path("bundles/today")).name
'today.checkpoint'
"""

import hashlib
import math
import pickle
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.errors import BundleError, ConfigError, reason
from model.files.whole_file import whole_file
from training.data.examples import EncodedRows

MOST_TIME = 0.05  # of an epoch, that writing may take


class CheckpointOptions(NamedTuple):
    """How a fit is kept: `resume` continues what an earlier one left, if it left anything;
    its state is written at most every `seconds`, within an epoch as well; 0: after each epoch;
    infinite: never.
    """

    resume: bool = False
    seconds: float = 30.0


@dataclass(frozen=True)
class StepState:
    """A step after some `epochs`, each as a dict. `random`: the state of torch's generator.

    `within`: how far the next epoch is, see `SoFar`, where it has begun; `diverged`: how many
    attempts at it were in vain. A step that is done has its best epoch as `net`, and none of the
    rest, which is `run_step`'s.
    """

    net: dict[str, Tensor]
    epochs: list[dict[str, Any]]
    random: Tensor
    optimiser: dict[str, Any] | None = None
    best: dict[str, Tensor] | None = None
    best_loss: float = 0.0
    without_gain: int = 0
    moments: dict[str, dict[str, Tensor]] | None = None  # of the best epoch, where they are kept
    within: dict[str, Any] | None = None
    diverged: int = 0


class Checkpoint:
    """The states of a fit's steps, in one file at `path`.

    `inputs`: by name, what decides how the fit goes; a file of other inputs is not resumed.
    """

    def __init__(self, path: Path, inputs: Mapping[str, str], how: CheckpointOptions) -> None:
        self._path = path
        self._inputs = dict(inputs)
        self._seconds = how.seconds
        self._written_at = time.monotonic()
        self._took = 0.0  # the last writing, in seconds
        self._steps: dict[str, StepState] = {}
        if how.resume and path.exists():
            self._steps = self._read()

    def of(self, step: str) -> StepState | None:
        """Where the step stood; None where it is to begin."""
        return self._steps.get(step)

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed to write a state."""
        return time.monotonic() - self._written_at >= self._seconds

    @property
    def is_due_within(self) -> bool:
        """The same of an epoch that is being run, where writing takes a small part of the time."""
        passed = time.monotonic() - self._written_at
        return 0 < self._seconds <= passed and passed >= self._took / MOST_TIME

    def keep(self, step: str, state: StepState) -> None:
        """Write where a running step stands, if anything is written at all.

        Raises:
            BundleError: it cannot be written.
        """
        if math.isfinite(self._seconds):
            self._write(self._steps | {step: state})

    def finish(self, step: str, state: StepState) -> None:
        """Note how a step ended; the next writing has it."""
        self._steps[step] = state

    def remove(self) -> None:
        """The bundle is whole: nothing is left to resume."""
        self._path.unlink(missing_ok=True)

    def _write(self, steps: Mapping[str, StepState]) -> None:
        states = {name: vars(state) for name, state in steps.items()}
        began = time.monotonic()
        try:
            with whole_file(self._path) as file:
                torch.save({"inputs": self._inputs, "steps": states}, file)
        except (OSError, RuntimeError) as error:  # torch's, of a disk that is full
            why = reason(error) if isinstance(error, OSError) else "the disk may be full"
            raise BundleError(f"{self._path}: cannot be written: {why}") from error
        self._written_at = time.monotonic()
        self._took = self._written_at - began

    def _read(self) -> dict[str, StepState]:
        if not zipfile.is_zipfile(self._path):  # torch.save's files are
            raise self._unreadable()
        try:
            # tensors and plain values, no code; whatever device they were on
            found = torch.load(self._path, map_location="cpu", weights_only=True)
            steps = {name: StepState(**state) for name, state in found["steps"].items()}
            others = [key for key in self._inputs if found["inputs"].get(key) != self._inputs[key]]
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable() from error
        except (pickle.UnpicklingError, EOFError) as error:
            raise self._unreadable() from error
        if others:
            raise ConfigError(
                f"--resume: {self._path} is of a fit with another {', another '.join(others)}; "
                "without --resume the fit begins anew"
            )
        return steps

    def _unreadable(self) -> BundleError:
        return BundleError(
            f"--resume: {self._path} cannot be read; without --resume the fit begins anew"
        )


def checkpoint_path(out: Path) -> Path:
    """Where a fit that is to write `out` keeps its state."""
    return out.with_name(f"{out.name}.checkpoint")


def digest(*parts: EncodedRows) -> str:
    """A digest of encoded rows with their labels and weights."""
    return hashlib.sha256(" ".join(part.digest() for part in parts).encode()).hexdigest()
