"""What of the trackers a fit was asked to tell, as one thing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from training.fit.fit import Fitted
from training.fit.step.progress import watcher
from training.fit.step.watcher import Watcher
from training.tracking.event_files import EventFiles
from training.tracking.mlflow_run import MlflowRun, mlflow_run
from training.tracking.watchers import together


@dataclass(frozen=True)
class Tracked:
    """`watcher`: of the fit, the one that shows its progress among them."""

    watcher: Watcher
    run: MlflowRun | None
    files: EventFiles | None

    def ended(self, fitted: Fitted, bundle: Path) -> list[str]:
        """Tell what a fit came to; returns what to say of it, a line each.

        Raises:
            ConfigError: the server takes no more; the bundle is written.
        """
        if self.files is not None:
            self.files.metrics(fitted.manifest)
        return [] if self.run is None else [f"mlflow: {self.run.log(fitted, bundle)}"]


@contextmanager
def tracked(mlflow: str | None, tensorboard: Path | None, name: str) -> Iterator[Tracked]:
    """Begin to track a fit; `mlflow`: the URI of a server, `tensorboard`: a folder, each None for
    none; `name`: of the run.

    Raises:
        ConfigError: a tracker that is not installed, or cannot be reached.
    """
    with ExitStack() as open_ones:
        files = None
        if tensorboard is not None:
            files = EventFiles(tensorboard)
            open_ones.callback(files.close)
        run = None if mlflow is None else open_ones.enter_context(mlflow_run(mlflow, name))
        shown = watcher()
        yield Tracked(shown if files is None else together(shown, files), run, files)
