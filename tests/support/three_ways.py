"""One bundle behind the three addresses of a client: HTTP, a unix socket, its directory."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from model.bundle.bundle import Bundle
from service.http.app import create_app
from service.http.wire.connection import Connection
from service.settings import Settings


@contextmanager
def three_ways(redis_url: str, tmp_path: Path, bundle: Bundle) -> Iterator[tuple[Any, Any]]:
    """The app, and its addresses in that order; its settings, and those of a client in process, are
    the environment's.
    """
    settings = Settings.load(bundles=tmp_path / "bundles", home=tmp_path)
    app = create_app(settings, redis_url)
    tcp = socket.create_server(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "afm.sock"))
    local.listen(100)
    config = uvicorn.Config(app, ws="none", log_config=None, loop="uvloop", http=Connection)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [tcp, local]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
        yield app, (url, f"unix:{tmp_path / 'afm.sock'}", bundle.directory)
    finally:
        server.should_exit = True
        thread.join()
