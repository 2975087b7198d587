"""Clients of a service of the tiny bundle, and raw connections to one that asks for keys."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app_server import client_of
from commands import Commands
from model.bundle.bundle import Bundle
from raw_connection import Caller
from service.http.access.api_keys import make_key
from streams import MOST_BODY


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


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Any]:
    """A running `afm-serve` that asks for keys, which are its `keys`."""
    commands = Commands(tmp_path_factory.mktemp("keyed"))
    keys = commands.home / "keys"
    served_keys = {right: make_key(keys, right, [right]) for right in ("predict", "admin")}
    commands.publish(tiny_bundle.directory)
    with commands.serving(AFM_API_KEYS=str(keys), AFM_MAX_BODY_BYTES=str(MOST_BODY)) as served:
        running: Any = served
        running.wait_until("/readyz", lambda answer: answer.status_code == 200)
        running.keys = served_keys
        yield running


@pytest.fixture
def head(keyed: Any) -> Any:
    """Makes the head of a request with a key."""

    def made(
        *more: Any,
        method: Any = "POST",
        path: Any = "/predict",
        kind: Any = "application/json",
        key: Any = "predict",
    ) -> Any:
        lines = [f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n"]
        lines += [f"x-api-key: {keyed.keys.get(key, 'afm_guessed')}\r\n", *more, "\r\n"]
        return "".join(lines).encode()

    return made


@pytest.fixture
def caller(keyed: Any) -> Iterator[Any]:
    found = Caller(keyed)
    yield found
    found.socket.close()
