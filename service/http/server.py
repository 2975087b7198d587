"""`afm-serve run`: checks whether it may listen, then runs one worker or several."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import SettingsError
from service.http.access.api_keys import ApiKeys
from service.http.artf import artf_host, check_artf
from service.http.listening import bound, is_local
from service.http.supervisor import Supervisor
from service.http.tls import tls_context
from service.http.worker import run_worker
from service.observe.logs import configure_logging
from service.observe.metrics import MULTIPROCESS
from service.observe.traces import require_opentelemetry
from service.runtime import open_as_many_files_as_allowed, write_no_core
from service.settings import Settings

FILES = 100  # files that a worker may have open beside its connections


def serve(settings: Settings, redis: str | Path) -> None:
    """Serve until SIGTERM or SIGINT; workers that die are replaced. `redis`: the URL of Redis, or
    a file that holds it.

    Raises:
        SettingsError: the address cannot be listened on, or not without API keys; the files of TLS
            cannot be used; or the settings want more open files than this process may have.
    """
    files = open_as_many_files_as_allowed()
    if settings.connections + FILES > files and settings.max_connections is not None:
        raise SettingsError(
            f"AFM_MAX_CONNECTIONS: {settings.max_connections} connections and {FILES} other files "
            f"are more than the {files} files that a process may open (ulimit -n)"
        )
    if settings.artf is not None:
        check_artf(settings.artf, settings.workers)
    _check_access(settings)
    tls_context(settings.tls_cert, settings.tls_key)  # else each worker would say what is wrong
    if settings.traces is not None:
        require_opentelemetry()  # the same
    with bound(settings.host, settings.port) as sockets:
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGINT, _end)
        configure_logging(settings)
        # a core file would hold the callers' values, and the password of Redis
        write_no_core()
        os.environ.update(settings.environment())
        if isinstance(redis, str):
            os.environ["AFM_REDIS_URL"] = redis
        with _shared_metrics(settings.workers):
            if settings.workers == 1:
                run_worker(sockets)
            else:
                Supervisor(sockets, settings.workers).run()


def _end(number: int, frame: object) -> None:  # noqa: ARG001 - a handler's two arguments
    # also once it has stopped in order: uvicorn raises the signal again
    raise SystemExit(0)


def _check_access(settings: Settings) -> None:
    if settings.api_keys is not None:
        ApiKeys(settings.api_keys)  # else each worker would say what is wrong, and start again
        return
    if settings.allow_anonymous:
        return
    inside = settings.published_host is None
    reached = {"AFM_HOST" if inside else "AFM_PUBLISHED_HOST": settings.reached_at}
    if inside and settings.artf is not None:
        reached["AFM_ARTF"] = artf_host(settings.artf)
    for name, host in reached.items():
        if not is_local(host):
            raise SettingsError(
                f"{name}: {host} is reached from other machines: set AFM_API_KEYS "
                "(afm-serve key makes one), or AFM_ALLOW_ANONYMOUS=1 to serve every caller"
            )


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
