"""The gRPC server of one worker, on the event loop of its HTTP server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from artf.calls import App, Calls
from artf.messages import METHOD, SERVICES


@asynccontextmanager
async def serving(
    app: App,
    address: str,
    *,
    most_bytes: int,
    stop_seconds: float,
    tls: tuple[Path, Path] | None = None,
) -> AsyncIterator[None]:
    """Answer calls at `HOST:PORT` or `unix:/PATH` by an ASGI app, while the block runs.

    Args:
        app: has POST /predict.
        address: where to listen; further workers may share a port.
        most_bytes: of one message.
        stop_seconds: how long calls in flight may still take at the end.
        tls: the files of the certificate and its key.

    Raises:
        RuntimeError: it cannot listen there.
    """
    options = [("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", most_bytes)]
    server = grpc.aio.server(options=options)
    handler = grpc.unary_unary_rpc_method_handler(
        Calls(app).get_mutations, response_serializer=_serialized
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, {METHOD: handler}) for name in SERVICES]
    )
    if tls is None:
        server.add_insecure_port(address)
    else:
        certificate, key = (path.read_bytes() for path in tls)
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        server.add_secure_port(address, credentials)
    await server.start()
    try:
        yield
    finally:
        await server.stop(stop_seconds)


def _serialized(message: Any) -> bytes:
    found: bytes = message.SerializeToString()
    return found
