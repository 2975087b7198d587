"""The progress of a fit as data: calls of a watcher in one process, made again in another."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from training.config import SizedStep
from training.fit.step.watcher import Epoch, Watcher

SECONDS = 0.5  # between two notes of batches


class Note(NamedTuple):
    """A call of the watcher's method `name`, with what it was given; `times`: so often."""

    name: str
    given: tuple[Any, ...]
    times: int = 1

    def replay(self, watcher: Watcher) -> None:
        """Make the call."""
        for _ in range(self.times):
            getattr(watcher, self.name)(*self.given)


class Noting(Watcher):
    """Gives `note` a Note of each call, of batches one every SECONDS."""

    def __init__(self, note: Callable[[Note], object]) -> None:
        self._note = note
        self._batches, self._noted_at = 0, time.monotonic()

    def batch(self, loss: float) -> None:
        """See Watcher."""
        self._batches += 1
        if time.monotonic() - self._noted_at >= SECONDS:
            self._note(Note("batch", (loss,), self._batches))
            self._batches, self._noted_at = 0, time.monotonic()

    def begin(self, step: str, batches: int, epochs: int) -> None:
        """See Watcher."""
        self._batches = 0
        self._note(Note("begin", (step, batches, epochs)))

    def epoch(self, epoch: Epoch) -> None:
        """See Watcher."""
        self._note(Note("epoch", (epoch,)))

    def tries(self, step: str, settings: SizedStep) -> None:
        """See Watcher."""
        self._note(Note("tries", (step, settings)))

    def diverged(self, step: str, number: int, learning_rate: float) -> None:
        """See Watcher."""
        self._note(Note("diverged", (step, number, learning_rate)))

    def resumed(self, step: str, epochs: Sequence[Epoch]) -> None:
        """See Watcher."""
        self._note(Note("resumed", (step, list(epochs))))

    def said(self, line: str) -> None:
        """See Watcher."""
        self._note(Note("said", (line,)))

    def warned(self, line: str) -> None:
        """See Watcher."""
        self._note(Note("warned", (line,)))

    def stage(self, what: str) -> None:
        """See Watcher."""
        self._note(Note("stage", (what,)))

    def interrupted(self, step: str) -> None:
        """See Watcher."""
        self._note(Note("interrupted", (step,)))
