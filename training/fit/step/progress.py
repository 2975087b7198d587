"""How a fit is shown while it runs: a bar on a terminal, plain lines elsewhere, on stderr."""

import atexit
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from training.config import SizedStep
from training.fit.step.watcher import Epoch, Watcher
from training.stream.pace import time_words

SECONDS = 30.0  # between two lines of a long epoch


class _Lines(Watcher):
    def __init__(self, console: Console) -> None:
        self.console = console
        self._warned: set[str] = set()
        self._step, self._batches, self._rows = "", 1, 0
        self._epoch(1)

    def _epoch(self, number: int) -> None:
        # it begins
        self._number, self._done = number, 0
        self._began = self._said = time.monotonic()

    @property
    def _speed(self) -> float:
        # rows a second of this epoch
        passed = max(time.monotonic() - self._began, 1e-9)
        return self._done / self._batches * self._rows / passed

    def begin(self, step: str, batches: int, epochs: int, rows: int) -> None:  # noqa: ARG002  Watcher's
        self._step, self._batches, self._rows = step, max(batches, 1), rows
        self._epoch(1)

    def batch(self, loss: float) -> None:
        self._done += 1
        if time.monotonic() - self._said >= SECONDS:
            self._said = time.monotonic()
            share = self._done / self._batches
            left = time_words((1 - share) * self._rows / self._speed)
            self.said(
                f"{self._step} epoch {self._number:>2}  {share:.0%}  loss {loss:.4f}  "
                f"{self._speed:,.0f} rows/s, {left} left"
            )

    def epoch(self, epoch: Epoch) -> None:
        auc = "  none" if epoch.valid_auc is None else f"{epoch.valid_auc:.4f}"
        self.console.print(
            f"{epoch.step} epoch {epoch.number:>2}  train loss {epoch.train_loss:.4f}  "
            f"valid loss {epoch.valid_loss:.4f}  auc {auc}  "
            f"{epoch.seconds:.1f} s{'  best' if epoch.best else ''}",
            highlight=False,
        )
        self._epoch(epoch.number + 1)

    def tries(self, step: str, settings: SizedStep) -> None:
        self.console.print(
            f"{step}: tried with l2_embedding {settings.l2_embedding:.2g}, "
            f"l2_linear {settings.l2_linear:.2g}, dropout {settings.dropout:g}, "
            f"learning_rate {settings.learning_rate:.2g}"
            + (", count classes" if settings.count_classes else ""),
            highlight=False,
        )

    def diverged(self, step: str, number: int, learning_rate: float) -> None:
        self.console.print(
            f"{step} epoch {number:>2}  losses that are not finite: it begins again from the best "
            f"epoch, at learning rate {learning_rate:.2g}",
            highlight=False,
        )
        self._epoch(number)

    def said(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)

    def warned(self, line: str) -> None:
        if line not in self._warned:  # several nets on one log have the same to say of it
            self._warned.add(line)
            self.console.print(f"warning: {line}", highlight=False, markup=False, style="bold")

    def resumed(self, step: str, epochs: Sequence[Epoch]) -> None:
        self.console.print(f"{step}: continues after epoch {len(epochs)}", highlight=False)
        self._epoch(len(epochs) + 1)

    def stage(self, what: str) -> None:
        self.console.print(f"now: {what}", highlight=False)

    def interrupted(self, step: str) -> None:
        self.console.print(f"interrupted: keeping the best epoch of {step} so far", highlight=False)


class _Bar(_Lines):
    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._auc = "-"
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  auc {task.fields[auc]}"),
            TextColumn("{task.fields[speed]:,.0f} rows/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        atexit.register(self._progress.stop)  # which shows the cursor, also where a fit fails

    def begin(self, step: str, batches: int, epochs: int, rows: int) -> None:
        super().begin(step, batches, epochs, rows)
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        total = batches * epochs  # at most: the best epoch may come sooner
        self._task = self._progress.add_task(step, total=total, loss=0.0, auc=self._auc, speed=0.0)
        self._progress.start()

    def batch(self, loss: float) -> None:
        self._done += 1
        self._progress.update(self._task, advance=1, loss=loss, speed=self._speed)

    def epoch(self, epoch: Epoch) -> None:
        self._auc = "none" if epoch.valid_auc is None else f"{epoch.valid_auc:.4f}"
        self._progress.update(self._task, auc=self._auc)
        super().epoch(epoch)

    def stage(self, what: str) -> None:
        self._progress.stop()
        super().stage(what)


def watcher() -> Watcher:
    """The one that suits stderr."""
    console = Console(stderr=True, soft_wrap=True)
    return _Bar(console) if console.is_terminal else _Lines(console)
