"""The progress of a fit as data: calls of a watcher in one process, made again in another; and what
it came to.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from training.fit.step.watcher import Forwarding, Watcher

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


class Result(NamedTuple):
    """What a fit came to: a pickled Fitted, or the `error` that ended it."""

    fitted: bytes | None
    error: str = ""


class Noting(Forwarding):
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

    def begin(self, step: str, batches: int, epochs: int, rows: int) -> None:
        """See Watcher."""
        self._batches = 0
        super().begin(step, batches, epochs, rows)

    def forward(self, name: str, *given: Any) -> None:
        """See Forwarding."""
        self._note(Note(name, given))
