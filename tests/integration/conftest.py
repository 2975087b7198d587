"""A real Redis of the tests' own, emptied before each test, and stores on it."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import uvicorn

from commands import Commands
from service.http.app import create_app
from service.http.wire.connection import Connection
from service.settings import Settings
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.publish import publish


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
    return redis_server


@pytest.fixture
def raw_redis(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def store(redis_url: str) -> Iterator[VersionStore]:
    opened = VersionStore(redis_url, "ads")
    yield opened
    opened.close()


@pytest.fixture
def bundles(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


@pytest.fixture
def served(
    redis_url: str, tmp_path: Path, tiny_bundle: Any, store: VersionStore, bundles: BundleStore
) -> Iterator[Callable[..., httpx.Client]]:
    """`served(**settings)`: a client of the tiny bundle's service, as uvicorn runs it, in a thread
    of this process.
    """
    publish(tiny_bundle.directory, store, bundles)
    running = []

    def start(max_rows_in_flight: int | None = None, **chosen: Any) -> httpx.Client:
        settings = Settings.load(model="ads", bundles=tmp_path / "bundles", home=tmp_path, **chosen)
        app = create_app(settings, redis_url, max_rows_in_flight=max_rows_in_flight)
        server = uvicorn.Server(
            uvicorn.Config(app, port=0, ws="none", log_config=None, loop="uvloop", http=Connection)
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        running.append((server, thread, client))
        return client

    yield start
    for server, thread, client in running:
        client.close()
        server.should_exit = True
        thread.join()


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)
