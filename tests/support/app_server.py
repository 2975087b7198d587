"""The app behind a real server, in this process: what a test of HTTP talks to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from service.http.app import create_app
from service.http.wire.connection import Connection
from service.scoring.what_if import MOST_ROWS
from service.settings import Settings
from service.versions.follower import Times

OFTEN = Times(poll=0.05)


@contextmanager
def client_of(
    redis_url: str | Path,
    tmp_path: Path,
    redis_timeout: float = 1.0,
    max_rows_in_flight: int | None = None,
    max_whatif_rows: int = MOST_ROWS,
    times: Times = OFTEN,
    protocol: type[Connection] | None = None,
    **chosen: Any,
) -> Iterator[httpx.Client]:
    """The app behind a real server, in a thread of this process; with settings as chosen, and with
    the service's own `protocol` below ASGI where it is given.
    """
    settings = Settings.load(model="ads", bundles=tmp_path / "bundles", home=tmp_path, **chosen)
    app = create_app(
        settings,
        redis_url,
        times=times,
        redis_timeout=redis_timeout,
        max_rows_in_flight=max_rows_in_flight,
        max_whatif_rows=max_whatif_rows,
    )
    own: dict[str, Any] = {} if protocol is None else {"http": protocol, "loop": "uvloop"}
    server = uvicorn.Server(uvicorn.Config(app, port=0, ws="none", log_config=None, **own))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
