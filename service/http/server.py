"""Starts uvicorn with one or several workers, and ends with them."""

import ipaddress
import os
import resource
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.errors import SettingsError
from service.http.access.api_keys import ApiKeys
from service.http.wire.connection import Connection
from service.observe.logs import configure_logging
from service.settings import Settings

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
KEEP_ALIVE_SECONDS = 75  # longer than the idle time of callers' connection pools
BACKLOG = 2048  # connections that wait to be accepted
FILES = 100  # that a worker may have open beside its connections
WORKER_START_SECONDS = 15  # one that answers its parent later, as while it starts, is replaced


def serve(settings: Settings, redis_url: str) -> None:
    """Serve until SIGTERM or SIGINT; workers that die are replaced.

    Raises:
        SettingsError: the address cannot be listened on, or not without API keys; or the settings
            want more open files than this process may have.
    """
    files = _raise_file_limit()
    if settings.connections + FILES > files and settings.max_connections is not None:
        raise SettingsError(
            f"AFM_MAX_CONNECTIONS: {settings.max_connections} connections and {FILES} other files "
            f"are more than the {files} files that a process may open (ulimit -n)"
        )
    _check_access(settings)
    _check_address(settings.host, settings.port)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    configure_logging(settings)
    # a core file would hold the callers' values, and the password of Redis
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.update(settings.environment() | {"AFM_REDIS_URL": redis_url})
    with _shared_metrics(settings.workers):
        uvicorn.run(
            "service.http.app:make_worker",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            # asyncio's own loop holds back every second answer of a connection by 40 ms
            loop="uvloop",
            http=Connection,
            proxy_headers=False,  # nobody asks for the caller's address
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # all that wait are accepted in one round, before any can make room for another
            backlog=min(BACKLOG, files // 4),
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_worker_healthcheck=WORKER_START_SECONDS,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )


def _raise_file_limit() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def _end(number: int, frame: object) -> None:  # noqa: ARG001 - a handler's two arguments
    # uvicorn, once it has stopped in order, raises the signal again
    raise SystemExit(0)


def _check_access(settings: Settings) -> None:
    if settings.api_keys is not None:
        ApiKeys(settings.api_keys)  # else each worker would say what is wrong, and start again
    elif not settings.allow_anonymous and not _is_loopback(settings.host):
        raise SettingsError(
            f"AFM_HOST: {settings.host} is reached from other machines: set AFM_API_KEYS "
            "(afm-serve key makes one), or AFM_ALLOW_ANONYMOUS=1 to serve whoever comes"
        )


def _is_loopback(host: str) -> bool:
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
    except OSError:
        return False  # cannot be listened on either
    return all(ipaddress.ip_address(address).is_loopback for address in found)


def _check_address(host: str, port: int) -> None:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error


@contextmanager
def _shared_metrics(workers: int) -> Iterator[None]:
    if workers == 1:
        yield
        return
    folder = tempfile.mkdtemp(prefix="afm-metrics-")
    os.environ[MULTIPROCESS] = folder  # before a worker imports prometheus_client
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
