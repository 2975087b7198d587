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
from model.bundle.bundle import Bundle
from service.http.wire.connection import Connection
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.follower import DEFAULT_TIMES
from service.versions.publish import publish
from traces import read_operators_once


@pytest.fixture(scope="session", autouse=True)
def _quicker_traces() -> None:
    read_operators_once()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
    return redis_server


@pytest.fixture
def raw_redis(redis_url: str) -> Iterator[Any]:  # its types mix up str and bytes
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
    redis_url: str, tmp_path: Path, tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
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


@pytest.fixture(scope="module")
def lasting(
    redis_server: str, tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle
) -> Iterator[Callable[..., httpx.Client]]:
    """`lasting(**settings)`: a client of the tiny bundle's service for all tests of a file. It has
    a database of its own, which no test empties.
    """
    url, home = f"{redis_server}?db=1", tmp_path_factory.mktemp("lasting")
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    published = VersionStore(url, "ads")
    publish(tiny_bundle.directory, published, BundleStore(home / "bundles"))
    published.close()
    with ExitStack() as running:
        yield lambda **chosen: running.enter_context(client_of(url, home, **chosen))


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)
