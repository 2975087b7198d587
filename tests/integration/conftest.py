"""A real Redis of the tests' own, emptied before each test, and stores on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from app_server import client_of
from commands import Commands
from service.http.wire.connection import Connection
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.follower import DEFAULT_TIMES
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
    with ExitStack() as running:

        def start(**chosen: Any) -> httpx.Client:
            server = client_of(
                redis_url, tmp_path, times=DEFAULT_TIMES, protocol=Connection, **chosen
            )
            return running.enter_context(server)

        yield start


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)
