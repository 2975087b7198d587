"""What a fit reports while it runs: its epochs, and a watcher that is called with them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.config import SizedStep


@dataclass(frozen=True)
class Epoch:
    """The result of an epoch; `seconds` it took, `best` so far or not.

    `valid_loss` is the objective's criterion on the rows held out; `valid_auc` their AUC, GAUC for
    task ranking, None where it is undefined. `diverged`: how many attempts at it before came to
    losses that are not finite. `windows`: of a pass in the log's order, see `Progressive`.
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
    windows: Sequence[Mapping[str, Any]] | None = None

    def facts(self) -> dict[str, Any]:
        """As the manifest has it."""
        found = asdict(self)
        if self.windows is None:
            del found["windows"]
        return found


class Watcher:
    """Is called with the progress of a fit; this one does nothing with it."""

    def begin(self, step: str, batches: int, epochs: int, rows: int) -> None:
        """A step begins, of at most `epochs` epochs of `batches` batches, which are `rows` rows."""

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
        """The fit does something that takes a while, as the line says."""

    def warned(self, line: str) -> None:
        """Something about the fit that its user has to know."""

    def stage(self, what: str) -> None:
        """A stage begins that follows the last epoch, and takes a while."""

    def interrupted(self, step: str) -> None:
        """Ctrl-C ended the step; its best epoch is kept."""


class Forwarding(Watcher, ABC):
    """Gives each call to `forward`."""

    @abstractmethod
    def forward(self, name: str, *given: Any) -> None:
        """A call of the method `name`, with what it was given."""

    def begin(self, step: str, batches: int, epochs: int, rows: int) -> None:
        """See Watcher."""
        self.forward("begin", step, batches, epochs, rows)

    def batch(self, loss: float) -> None:
        """See Watcher."""
        self.forward("batch", loss)

    def epoch(self, epoch: Epoch) -> None:
        """See Watcher."""
        self.forward("epoch", epoch)

    def tries(self, step: str, settings: SizedStep) -> None:
        """See Watcher."""
        self.forward("tries", step, settings)

    def diverged(self, step: str, number: int, learning_rate: float) -> None:
        """See Watcher."""
        self.forward("diverged", step, number, learning_rate)

    def resumed(self, step: str, epochs: Sequence[Epoch]) -> None:
        """See Watcher."""
        self.forward("resumed", step, epochs)

    def said(self, line: str) -> None:
        """See Watcher."""
        self.forward("said", line)

    def warned(self, line: str) -> None:
        """See Watcher."""
        self.forward("warned", line)

    def stage(self, what: str) -> None:
        """See Watcher."""
        self.forward("stage", what)

    def interrupted(self, step: str) -> None:
        """See Watcher."""
        self.forward("interrupted", step)
