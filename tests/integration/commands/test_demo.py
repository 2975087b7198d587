"""`afm-serve demo`: a made-up model, fitted once, for this machine only."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import service.demo
from model.bundle.bundle import Bundle
from narrowing import not_none
from service.demo import demonstrate, fitted
from service.errors import SettingsError
from until import until


def free_port() -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_page_of_the_made_up_model_is_served_whatever_redis_is_named(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    port, home = free_port(), tmp_path / "afm"
    shutil.copytree(tiny_bundle.directory, home / "demo" / "bundle")
    env = {
        "AFM_HOME": str(home),
        "AFM_REDIS_URL": "redis://127.0.0.1:9/0",
        "AFM_MODEL": "shop",
        "AFM_DRAIN_SECONDS": "0.1",
        "PATH": "/usr/bin",
    }
    run = [sys.executable, "-m", "service.cli", "demo", "--port", str(port), "--no-browser"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(run, env=env, stdout=subprocess.PIPE, stderr=log)
    try:
        assert (
            not_none(process.stdout)
            .readline()
            .decode()
            .startswith(f"open http://127.0.0.1:{port}/ to ")
        )
        url = f"http://127.0.0.1:{port}"

        def ready() -> Any:
            try:
                return httpx.get(f"{url}/readyz").status_code == 200
            except httpx.TransportError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                return False

        until(ready)
        said = httpx.get(f"{url}/readyz").json()
        assert (said["model"], said["example"], said["version"]) == (
            "example",
            True,
            tiny_bundle.version,
        )
        assert "text/html" in httpx.get(f"{url}/").headers["content-type"]
    finally:
        process.terminate()
        process.wait(timeout=30)
        not_none(process.stdout).close()


def test_a_port_in_use_is_named_before_a_model_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFM_HOME", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}: Address already in use"):
            demonstrate(str(port), browser=False)
    assert not (tmp_path / "demo").exists()


def test_its_model_is_drawn_and_fitted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = fitted(tmp_path, rows=2000)
    assert Bundle.open(bundle).schema.fields
    monkeypatch.setattr(service.demo, "_train", None)  # which would fail
    assert fitted(tmp_path) == bundle


def test_without_the_trainer_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "training", None)
    with pytest.raises(SettingsError, match=r"pip install 'ctr-afm\[serve,train\]'"):
        fitted(tmp_path)
