"""A real Redis of the tests' own, emptied before each test, and stores on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from commands import Commands
from service.bundle_store import BundleStore
from service.embedded_redis import EmbeddedRedis
from service.vocabulary_store import VocabularyStore


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
def store(redis_url: str) -> Iterator[VocabularyStore]:
    opened = VocabularyStore(redis_url, "ads")
    yield opened
    opened.close()


@pytest.fixture
def bundles(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)
