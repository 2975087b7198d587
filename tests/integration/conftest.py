"""A real Redis of the tests' own, emptied before each test, and stores on it."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import uvicorn

from service.app import create_app
from service.bundle_store import BundleStore
from service.embedded_redis import EmbeddedRedis
from service.one_write import OneWriteProtocol
from service.publish import publish
from service.settings import Settings
from service.vocabulary_store import VocabularyStore


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
    return redis_server


@pytest.fixture
def raw_redis(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def store(redis_url: str) -> Iterator[VocabularyStore]:
    opened = VocabularyStore(redis_url, "ads")
    yield opened
    opened.close()


@pytest.fixture
def bundles(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


@pytest.fixture
def served(
    redis_url: str, tmp_path: Path, tiny_bundle: Any, store: VocabularyStore, bundles: BundleStore
) -> Iterator[Callable[..., httpx.Client]]:
    """`served(**settings)`: a client of the tiny bundle's service, as uvicorn runs it, in a thread
    of this process.
    """
    publish(tiny_bundle.directory, store, bundles)
    running = []

    def start(**chosen: Any) -> httpx.Client:
        settings = Settings.load(model="ads", bundles=tmp_path / "bundles", home=tmp_path, **chosen)
        app = create_app(settings, redis_url)
        server = uvicorn.Server(
            uvicorn.Config(
                app, port=0, ws="none", log_config=None, loop="uvloop", http=OneWriteProtocol
            )
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        running.append((server, thread, client))
        return client

    yield start
    for server, thread, client in running:
        client.close()
        server.should_exit = True
        thread.join()


class Serving:
    """A running `afm-serve run`."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = log

    def wait_until(self, path: str, accepted: Callable[[httpx.Response], bool]) -> httpx.Response:
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = httpx.get(self.url + path, timeout=5)
                if accepted(answer):
                    return answer
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def workers(self) -> list[int]:
        """The workers' process ids, where there are several."""
        children = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "spawn_main"],
            capture_output=True,
            text=True,
        )
        return [int(pid) for pid in children.stdout.split()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


class Commands:
    """`afm-serve` with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AFM_")}
        self.env = {**clean, "AFM_HOME": str(home / "afm"), "AFM_POLL_SECONDS": "0.1"}

    def run(self, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *args],
            cwd=self.home,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def publish(self, directory: Path, *args: str) -> str:
        done = self.run("publish", str(directory), *args)
        assert done.returncode == 0, done.stderr
        return re.match(r"\S+", done.stdout)[0]

    @contextmanager
    def serving(self, workers: int = 1, **env: str) -> Iterator[Serving]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = self.home / f"serve-{port}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "service.cli", "run"),
                    *("--port", str(port), "--workers", str(workers)),
                ],
                cwd=self.home,
                env={**self.env, **env},
                stdout=output,
                stderr=output,
            )
        served = Serving(process, port, log)
        try:
            served.wait_until("/healthz", lambda answer: answer.status_code == 200)
            yield served
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=30)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)
