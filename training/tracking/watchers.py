"""Several watchers as one."""

from collections.abc import Sequence

from training.config import SizedStep
from training.fit.step.watcher import Epoch, Watcher


def together(*watchers: Watcher) -> Watcher:
    """One that calls each of them, in their order."""
    return _Several(*watchers)


class _Several(Watcher):
    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def begin(self, step: str, batches: int, epochs: int) -> None:
        for one in self._watchers:
            one.begin(step, batches, epochs)

    def batch(self, loss: float) -> None:
        for one in self._watchers:
            one.batch(loss)

    def epoch(self, epoch: Epoch) -> None:
        for one in self._watchers:
            one.epoch(epoch)

    def tries(self, step: str, settings: SizedStep) -> None:
        for one in self._watchers:
            one.tries(step, settings)

    def diverged(self, step: str, number: int, learning_rate: float) -> None:
        for one in self._watchers:
            one.diverged(step, number, learning_rate)

    def resumed(self, step: str, epochs: Sequence[Epoch]) -> None:
        for one in self._watchers:
            one.resumed(step, epochs)

    def said(self, line: str) -> None:
        for one in self._watchers:
            one.said(line)

    def warned(self, line: str) -> None:
        for one in self._watchers:
            one.warned(line)

    def stage(self, what: str) -> None:
        for one in self._watchers:
            one.stage(what)

    def interrupted(self, step: str) -> None:
        for one in self._watchers:
            one.interrupted(step)
