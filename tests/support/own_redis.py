"""A real Redis on a port of 127.0.0.1, with options of a test's own."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.store.embedded_redis import _binary


@contextmanager
def own_redis(folder: Path, *options: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Its process and port; gone with the block, and nothing of it kept."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    folder.mkdir(exist_ok=True)
    command = [_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
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
