"""Clients of a service of the tiny bundle."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app_server import client_of


@pytest.fixture(scope="module")
def client(lasting: Callable[..., httpx.Client]) -> httpx.Client:
    """One with small limits, for all tests of a file."""
    return lasting(max_body_bytes=100_000, max_rows=1000)


@pytest.fixture
def fresh(lasting: Callable[..., httpx.Client]) -> httpx.Client:
    """One that has counted nothing yet."""
    return lasting()


@pytest.fixture
def bare(redis_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """One of a service without a version."""
    with client_of(redis_url, tmp_path) as made:
        yield made
