"""nginx and HAProxy before the service, with the configurations that docs/clients.md shows."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIGURATIONS = Path(__file__).parents[1] / "clients" / "proxies"
FRONT, BACKENDS = "127.0.0.1:8080", ("127.0.0.1:8001", "127.0.0.1:8002")
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def needed(program: str) -> str:
    """Where a program is; the test is skipped where it is not."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed: make clients INSTALL=1")
    return found


@contextmanager
def proxy(kind: str, folder: Path, *backends: int, site: str | None = None) -> Iterator[int]:
    """`nginx` or `haproxy` before the services on some ports; yields its own. `site`: another
    configuration than the documented one, with the same addresses in it.
    """
    program, port = needed(kind), free_port()
    text = (
        site
        or (CONFIGURATIONS / {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[kind]).read_text()
    )
    text = text.replace(FRONT, f"127.0.0.1:{port}")
    for address, backend in zip(BACKENDS, backends, strict=False):
        text = text.replace(address, f"127.0.0.1:{backend}")
    if kind == "nginx":
        text = NGINX.format(folder=folder, site=text)
    configuration = folder / f"{kind}.conf"
    configuration.write_text(text)
    run = [
        program,
        *(("-p", str(folder), "-c") if kind == "nginx" else ("-db", "-f")),
        configuration,
    ]
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(run, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            assert process.poll() is None, (folder / f"{kind}.log").read_text()
            assert time.monotonic() < deadline
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)
