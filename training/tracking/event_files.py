"""`fit --tensorboard DIR`: event files that TensorBoard shows, written while the fit runs."""

from pathlib import Path
from typing import Any

from model.errors import ConfigError, reason
from model.manifest import Manifest
from training.fit.step.watcher import Epoch, Watcher
from training.tracking.names import plain_name

CURVES = ("train_loss", "valid_loss", "valid_auc", "learning_rate", "seconds")


class EventFiles(Watcher):
    """Writes the curves of each step, as `STEP/train_loss` and so on, an epoch a point.

    Raises:
        ConfigError: tensorboardX is not installed, or `folder` cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                f"--tensorboard needs tensorboardX: pip install 'ctr-afm[tensorboard]' ({error})"
            ) from error
        try:
            self._writer: Any = SummaryWriter(str(folder))
        except OSError as error:
            raise ConfigError(f"--tensorboard {folder}: {reason(error)}") from error

    def epoch(self, epoch: Epoch) -> None:
        """See `Watcher`."""
        for name in CURVES:
            value = getattr(epoch, name)
            if value is not None:
                self._writer.add_scalar(f"{plain_name(epoch.step)}/{name}", value, epoch.number)
        self._writer.flush()

    def metrics(self, manifest: Manifest) -> None:
        """Write the metrics of the fitted net, as `valid/auc` and so on."""
        for part, measured in manifest.metrics.items():
            for name, value in measured.items():
                if value is not None:
                    self._writer.add_scalar(f"{part}/{plain_name(name)}", value, 0)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
