"""Three ways to a model, behind one interface: an address over HTTP, a unix socket, a bundle."""

from pathlib import Path

import httpx2

UNIX = "unix:"


def open_transport(address: str | Path) -> tuple[str, httpx2.AsyncBaseTransport | None]:
    """The base URL for an address, and the transport for it; None is httpx2's own.

    Raises:
        ImportError: a bundle, and the service is not installed.
        ValueError: an address that is none of the three.
    """
    text = str(address)
    if text.startswith(("http://", "https://")):
        return text.rstrip("/"), None
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX).removeprefix("//")
        return "http://localhost", httpx2.AsyncHTTPTransport(uds=path, limits=limits())
    if not Path(text).is_dir():
        raise ValueError(
            f"{text!r} is no address: http://HOST:PORT, unix:/PATH, or the directory of a bundle"
        )
    try:
        from service.http.local_app import local_app
    except ImportError as error:
        raise ImportError(
            f"to score {text!r} in this process the service must be installed: "
            f"pip install 'ctr-afm[serve]' ({error})"
        ) from error
    return "http://localhost", httpx2.ASGITransport(app=local_app(Path(text)))


def limits(connections: int = 32) -> httpx2.Limits:
    """Connections that are kept; the service closes one that waits for 75 seconds."""
    return httpx2.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60
    )
