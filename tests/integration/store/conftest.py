"""The store's tests run on Redis and on Valkey."""

from collections.abc import Iterator

import pytest

from own_redis import SERVERS, own_redis


@pytest.fixture(scope="session", params=SERVERS)
def redis_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp(request.param)
    socket = folder / "socket"
    with own_redis(folder, "--unixsocket", str(socket), server=request.param):
        yield f"unix://{socket}"
