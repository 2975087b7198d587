"""What the service knows of ARTF (`afm-serve run --artf`): where it listens, and that it needs the
package `artf`, which has the gRPC server and is loaded by name: no image has it.
"""

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Any

from starlette.types import ASGIApp

from service.errors import SettingsError
from service.http.listening import UNIX, bound
from service.settings import Settings

STOP_SECONDS = 10  # for calls in flight, as requests over HTTP have


def artf_host(address: str) -> str:
    """The host of an address as --artf takes it, or a unix socket's whole address."""
    return address if address.startswith(UNIX) else address.rpartition(":")[0]


def check_artf(address: str, workers: int) -> None:
    """Check that calls can be answered at an address.

    Raises:
        SettingsError: gRPC is not installed, somebody else listens there, or several workers would
            share a unix socket.
    """
    try:
        import_module("artf.server")
    except ImportError as error:
        raise SettingsError(
            f"AFM_ARTF: needs gRPC: pip install 'ctr-afm[serve,artf]' ({error})"
        ) from error
    if address.startswith(UNIX):
        if workers > 1:
            raise SettingsError(f"AFM_ARTF: {workers} workers cannot share {address}: give a port")
        return
    try:
        with bound(artf_host(address), int(address.rpartition(":")[2])):
            pass  # it is free; each worker listens for itself
    except SettingsError as error:
        raise SettingsError(f"AFM_ARTF: {str(error).removeprefix('AFM_HOST: ')}") from error


def serving_artf(app: ASGIApp, settings: Settings) -> AbstractAsyncContextManager[None]:
    """A context in which calls are answered by the app."""
    files = settings.tls_cert, settings.tls_key
    server: Any = import_module("artf.server")
    found: AbstractAsyncContextManager[None] = server.serving(
        app,
        settings.artf,
        most_bytes=settings.max_body_bytes,
        stop_seconds=STOP_SECONDS,
        tls=None if None in files else files,
    )
    return found
