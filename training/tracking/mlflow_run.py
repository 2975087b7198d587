"""`fit --mlflow URI`: a run with parameters, curves, report, and the bundle as a model."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from model.bundle.files import MANIFEST, REPORT, SCHEMA
from model.errors import ConfigError
from training.fit.fit import Fitted
from training.fit.step.watcher import Epoch
from training.tracking.names import plain_name

EXPERIMENT = "ctr-afm"  # unless MLFLOW_EXPERIMENT_NAME or _ID names another one
LOADER = "ctr_afm.pyfunc"
CURVES = ("train_loss", "valid_loss", "valid_auc", "learning_rate")
LONGEST_PARAMETER = 500  # characters, of servers of any age
MOST_METRICS = 1000  # of one call


class MlflowRun:
    """A run that has begun."""

    def __init__(self, mlflow: ModuleType, run_id: str) -> None:
        self._mlflow: Any = mlflow
        self._client: Any = mlflow.MlflowClient()
        self.run_id = run_id

    def log(self, fitted: Fitted, bundle: Path) -> str:
        """Log what a fit came to and its bundle, and return the URI of the model.

        Raises:
            ConfigError: the server takes it not.
        """
        try:
            return self._log(fitted, bundle)
        except self._mlflow.exceptions.MlflowException as error:
            text = str(error).splitlines()[0][:300]
            raise ConfigError(f"{bundle} is written, but --mlflow: {text}") from error

    def _log(self, fitted: Fitted, bundle: Path) -> str:
        from mlflow.entities import Metric, Param  # after mlflow was imported

        manifest = fitted.manifest
        said = {"net": manifest.net, "task": manifest.task, "version": manifest.version}
        settings = _flat({**said, **_settings(manifest.training)})
        params = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in settings.items()]
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in _curves(fitted.epochs)]
        metrics += [
            Metric(f"{part}.{plain_name(name)}", float(value), now, 0)
            for part, measured in manifest.metrics.items()
            for name, value in measured.items()
            if value is not None
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self.run_id, metrics[start : start + MOST_METRICS])
        for start in range(0, len(params), 100):
            self._client.log_batch(self.run_id, params=params[start : start + 100])
        for name in (REPORT, SCHEMA, MANIFEST):
            self._client.log_artifact(self.run_id, str(bundle / name))
        with self._mlflow.start_run(run_id=self.run_id):
            logged = self._mlflow.pyfunc.log_model(
                name="bundle",
                loader_module=LOADER,
                data_path=str(bundle),
                pip_requirements=[f"ctr-afm{_version()}", f"polars=={version('polars')}"],
            )
        uri: str = logged.model_uri
        return uri


@contextmanager
def mlflow_run(uri: str, name: str) -> Iterator[MlflowRun]:
    """Begin a run of this name before a fit, so that a server that cannot be reached costs none; it
    fails where the block raises.

    Raises:
        ConfigError: mlflow is not installed, or the server gives no run.
    """
    try:
        import mlflow
        import mlflow.pyfunc
    except ImportError as error:
        raise ConfigError(
            f"--mlflow needs mlflow: pip install 'ctr-afm[mlflow]' ({error})"
        ) from error
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # of a server that is not there
    try:
        mlflow.set_tracking_uri(uri)
        named = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"
        if not any(key in os.environ for key in named):
            mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=name) as run:
            run_id = run.info.run_id
    except mlflow.exceptions.MlflowException as error:
        raise ConfigError(f"--mlflow {_shown(uri)}: {_first_line(error, uri)}") from error
    client = mlflow.MlflowClient()
    client.update_run(run_id, status="RUNNING")
    try:
        yield MlflowRun(mlflow, run_id)
    except BaseException:
        with suppress(mlflow.exceptions.MlflowException):  # a server that is gone
            client.set_terminated(run_id, status="FAILED")
        raise
    client.set_terminated(run_id)


def _curves(epochs: list[Epoch]) -> Iterator[tuple[str, float, int]]:
    for epoch in epochs:
        for name in CURVES:
            value = getattr(epoch, name)
            if value is not None:
                yield f"{plain_name(epoch.step)}.{name}", float(value), epoch.number


def _settings(training: Mapping[str, Any]) -> dict[str, Any]:
    # what is not a curve, or a finding
    return {key: training[key] for key in ("seed", "config", "from") if key in training}


def _flat(settings: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{start}{key}.")
        else:
            found[f"{start}{key}"] = value
    return found


def _version() -> str:
    try:
        return f"=={version('ctr-afm')}"
    except PackageNotFoundError:  # run from a source tree
        return ""


def _shown(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//", uri)


def _first_line(error: Exception, uri: str) -> str:
    return str(error).replace(uri, _shown(uri)).splitlines()[0][:300]
