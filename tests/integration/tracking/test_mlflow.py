"""`fit --mlflow` and a real MLflow server of the test's own, in processes of their own.

Skipped where MLflow is not installed: pip install mlflow (its server is no part of the extra).
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from model.bundle.bundle import Bundle
from tiny import tiny_rows

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("flask") is None,
    reason="needs mlflow with its server: pip install mlflow",
)

LOAD = """
import json, sys
import pandas as pd
import mlflow.pyfunc
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
found = model.predict(pd.read_parquet(sys.argv[3]))
print(json.dumps([found.tolist(), sorted({"torch", "training.fit"} & set(sys.modules))]))
"""
LOOK = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
(experiment,) = client.search_experiments(filter_string="name = 'ctr-afm'")
runs = client.search_runs([experiment.experiment_id])
print(json.dumps([{
    "name": run.info.run_name,
    "status": run.info.status,
    "params": run.data.params,
    "metrics": run.data.metrics,
    "curve": [
        [m.step, m.value]
        for m in client.get_metric_history(run.info.run_id, "fm.valid_loss")
    ],
    "files": [one.path for one in client.list_artifacts(run.info.run_id)],
} for run in runs]))
"""


def python(*arguments: Any, **environment: Any) -> Any:
    env = {**os.environ, **environment, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=env, timeout=300
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """The URI of a real one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    log = tmp_path / "server.log"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--workers", "1"),
        *("--artifacts-destination", str(tmp_path / "artifacts")),
    ]
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
    try:
        wait_until_it_answers(uri, process, log)
        yield uri
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_until_it_answers(uri: Any, process: Any, log: Any) -> None:
    deadline = time.monotonic() + 300
    while True:
        try:
            if httpx.get(f"{uri}/health", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_run_has_what_the_fit_came_to_and_its_model_scores_without_torch(
    server: Any, log: Path, fit_arguments: list[str]
) -> None:
    done = python("-m", "training.cli", *fit_arguments, "--mlflow", server)
    assert done.returncode == 0, done.stderr
    (uri,) = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("mlflow: ")]
    manifest = Bundle.open(log / "bundle").manifest

    looked = python("-c", LOOK, server)
    assert looked.returncode == 0, looked.stderr
    (run,) = json.loads(looked.stdout)
    assert (run["name"], run["status"]) == ("bundle", "FINISHED")
    assert run["params"]["net"] == "fm"
    assert run["params"]["config.fit.epochs"] == "2"
    assert run["metrics"]["valid.auc"] == manifest.metrics["valid"]["auc"]
    expected = [
        [epoch["number"], epoch["valid_loss"]]
        for epoch in manifest.training["epochs"]
        if epoch["step"] == "fm"
    ]
    assert run["curve"] == expected
    assert {"report.html", "schema.toml", "manifest.json"} <= set(run["files"])

    rows = tiny_rows(200, seed=9)
    pl.DataFrame(rows).write_parquet(log / "new.parquet")
    loaded = python("-c", LOAD, server, uri, str(log / "new.parquet"))
    assert loaded.returncode == 0, loaded.stderr
    scores, heavy = json.loads(loaded.stdout.splitlines()[-1])
    bundle = Bundle.open(log / "bundle")
    encoded = bundle.read_encoder().encode(rows)
    assert scores == bundle.read_scorer().predict(encoded).predictions.tolist()
    assert heavy == []


def test_run_of_a_fit_that_fails_is_failed(
    server: Any, log: Path, fit_arguments: list[str]
) -> None:
    (log / "log.parquet").unlink()
    done = python("-m", "training.cli", *fit_arguments, "--mlflow", server)
    assert done.returncode == 2
    (run,) = json.loads(python("-c", LOOK, server).stdout)
    assert run["status"] == "FAILED"


def test_server_that_is_not_there_is_said_before_the_fit(
    log: Path, fit_arguments: list[str]
) -> None:
    uri = "http://me:secret@127.0.0.1:9"
    done = python(
        *("-m", "training.cli", *fit_arguments, "--mlflow", uri),
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    assert done.returncode == 2
    assert "--mlflow http://127.0.0.1:9: " in done.stderr
    assert "secret" not in done.stderr
    assert not (log / "bundle").exists()
