"""The processes that the benchmarks measure, each from its first good answer to its end."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from processes.naive_graph import export_naive_bundle
from processes.product import command, run

from model.bundle.bundle import Bundle

HERE = Path(__file__).parent
START_SECONDS = 60.0


@contextmanager
def service(home: Path, bundle: Bundle, workers: int = 1, **settings: str) -> Iterator[int]:
    """The service as a user runs it: published, with the embedded Redis; yields its port."""
    port = free_port()
    environment = clean_environment() | {"AFM_HOME": str(home / "afm")} | settings
    run(
        "afm-serve",
        "publish",
        "--force",
        "--no-wait",
        str(bundle.directory),
        environment=environment,
    )
    serve = [*command("afm-serve"), "run", "--port", str(port), "--workers", str(workers)]
    with started(serve, environment, home / "service.log", f"http://127.0.0.1:{port}/readyz"):
        yield port


@contextmanager
def two_workers(url: str, bundles: Path, log: Path, **settings: str) -> Iterator[int]:
    """Two workers over the versions in the Redis at `url`; yields their port."""
    own = {"AFM_REDIS_URL": url, "AFM_BUNDLES": str(bundles)}
    port = free_port()
    run = [*command("afm-serve"), "run", "--port", str(port), "--workers", "2"]
    environment = clean_environment() | own | settings
    with started(run, environment, log, f"http://127.0.0.1:{port}/readyz"):
        yield port


@contextmanager
def naive_service(home: Path, bundle: Bundle) -> Iterator[int]:
    """The naive service under uvicorn[standard], one worker; yields its port."""
    port = free_port()
    graph = home / "naive.onnx"
    export_naive_bundle(bundle, graph)
    environment = clean_environment() | {"BUNDLE": str(bundle.directory), "GRAPH": str(graph)}
    run = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "naive_service:app"]
    run += ["--port", str(port), "--no-access-log"]
    with started(run, environment, home / "naive.log", f"http://127.0.0.1:{port}/docs"):
        yield port


@contextmanager
def echo(home: Path) -> Iterator[int]:
    """A plain ASGI app in the same server; yields its port."""
    port = free_port()
    run = [sys.executable, str(HERE / "echo.py"), str(port)]
    with started(run, clean_environment(), home / "echo.log", f"http://127.0.0.1:{port}/"):
        yield port


@contextmanager
def started(
    run: list[str], environment: dict[str, str], log: Path, ready: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server process, from its first good answer to its end."""
    with log.open("wb") as output:
        process = subprocess.Popen(run, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"it does not start: {' '.join(run)}\n{log.read_text()}")
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(url: str) -> bool:
    """Whether 200 comes back."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_live(port: int, version: str, workers: int = 2, model: str = "default") -> None:
    """Return once a version is live on every worker."""
    line = f'afm_live_version{{model="{model}",version="{version}"}} {workers}.0'
    deadline = time.monotonic() + START_SECONDS
    while line not in metrics(port):
        assert time.monotonic() < deadline, f"{version} is not live on {workers} workers"
        time.sleep(0.01)


def metrics(port: int) -> str:
    """All of them, as Prometheus gets them."""
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def busy(family: list[psutil.Process]) -> float:
    """Seconds of a core that some processes have used so far."""
    return sum(sum(one.cpu_times()[:2]) for one in family)


def clean_environment() -> dict[str, str]:
    """Without the settings of somebody's own service; no balancer has to notice its end."""
    own = {"WEB_CONCURRENCY"}
    others = {k: v for k, v in os.environ.items() if not k.startswith("AFM_") and k not in own}
    return others | {"AFM_DRAIN_SECONDS": "2"}


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
