"""`afm-serve` as a user runs it, in processes of its own."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


class Serving:
    """A running `afm-serve run`."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        port: int,
        log: Path,
        host: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.process = process
        self.port = port
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
        self.log = log
        self._path = host.removeprefix("unix:") if host else None
        self._tls = tls

    def client(self) -> httpx.Client:
        """With a connection of its own, of whatever kind the service takes."""
        transport = httpx.HTTPTransport(uds=self._path, verify=self._tls or True)
        return httpx.Client(base_url=self.url, transport=transport, timeout=10)

    def wait_until(self, path: str, accepted: Callable[[httpx.Response], bool]) -> httpx.Response:
        deadline = time.monotonic() + 60
        while True:
            try:
                if self._path:  # httpx leaves a socket open that cannot be connected
                    with socket.socket(socket.AF_UNIX) as probe:
                        probe.connect(self._path)
                with self.client() as client:
                    answer = client.get(path)
                if accepted(answer):
                    return answer
            except (httpx.TransportError, OSError):
                pass
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def wait_for_log(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.005)

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
        quick = {"AFM_DRAIN_SECONDS": "0.1"}
        patient = {"AFM_MAX_WAIT_MS": "10000"}  # tests share their cores with other tests
        self.env = {**clean, "AFM_HOME": str(home / "afm"), **quick, **patient}

    def run(self, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *args],
            cwd=self.home,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def publish(self, directory: Path, *args: str, **env: str) -> str:
        done = self.run("publish", str(directory), "--no-wait", *args, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[0]

    @contextmanager
    def serving(
        self,
        workers: int = 1,
        port: int = 0,
        host: str | None = None,
        tls: ssl.SSLContext | None = None,
        **env: str,
    ) -> Iterator[Serving]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = port or probe.getsockname()[1]
        log = self.home / f"serve-{port}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "service.cli", "run"),
                    *("--port", str(port), "--workers", str(workers)),
                    *(("--host", host) if host else ()),
                ],
                cwd=self.home,
                env={**self.env, **env},
                stdout=output,
                stderr=output,
            )
        served = Serving(process, port, log, host, tls)
        try:
            served.wait_until("/healthz", lambda answer: answer.status_code == 200)
            yield served
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=30)
