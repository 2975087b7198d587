"""A Redis client that keeps its deadlines, whatever the other end does.

redis-py's own timeout is for one read, so that a server which sends a byte now and then is waited
for without end; here it is for a whole reply, and longer only as more of it arrives.
"""

import time
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.errors import StoreUnavailable
from service.redis_url import ClusterUrl, checked_redis_url, without_password
from service.store.cluster_nodes import ClusterNodes

SLOWEST = 1 << 20  # bytes a second: a reply that comes slower than that is given up


class RedisLink:
    """The way to the Redis that has the keys of one model. `address`: its URL, or the file that
    holds it, which is read again whenever the link was closed: so a password may change, and the
    file may come later. So is found again which node of a Redis Cluster has the keys.
    """

    def __init__(self, address: str | Path, model: str, timeout: float) -> None:
        self._address = address
        self._model = model
        self._timeout = timeout
        self._client: Any = None
        self._in_cluster: bool | None = None
        self._nodes = ClusterNodes(lambda url: redis_client(url, timeout))
        self.shown = without_password(address) if isinstance(address, str) else str(address)

    @property
    def in_cluster(self) -> bool:
        """Whether the address is that of a Redis Cluster.

        Raises:
            StoreUnavailable: the file cannot be read, or holds no URL.
        """
        if self._in_cluster is None:
            self._in_cluster = ClusterUrl.of(self._url()) is not None
        return self._in_cluster

    def key(self, *parts: str) -> str:
        """A key of the model; raises as `in_cluster`."""
        model = f"{{{self._model}}}" if self.in_cluster else self._model
        return ":".join(("afm", model, *parts))

    def client(self) -> Any:
        """The client, made when first used.

        Raises:
            StoreUnavailable: the file cannot be read, or holds no URL; no node of the cluster
                answers, or none has the keys now.
            redis.ResponseError: a node refuses to say who has them.
        """
        if self._client is None:
            url = self._url()
            cluster = ClusterUrl.of(url)
            if cluster is not None:
                url = self._nodes.owner(cluster, self.key("active"))
            self._client = redis_client(url, self._timeout)
        return self._client

    def close(self) -> None:
        """Close the connection; a new one is made when next used."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _url(self) -> str:
        if isinstance(self._address, str):
            return self._address
        url = _url_in(self._address)
        self.shown = without_password(url)
        return url


def _url_in(path: Path) -> str:
    try:
        return checked_redis_url(path.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise StoreUnavailable(f"AFM_REDIS_URL_FILE: {path}: {error.strerror}") from error
    except ValueError as error:
        raise StoreUnavailable(f"AFM_REDIS_URL_FILE: {path}: {error}") from None


def redis_client(url: str, timeout: float) -> Any:  # its types mix up str and bytes, sync and async
    """A client of one connection at a time, made when first used. `timeout` in seconds is for
    connecting, for sending a command, and for its reply, which gets a second more for each MiB.

    Nothing is tried again: who asks knows when to.
    """
    pool = redis.ConnectionPool.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        # RESP3 lets the server announce maintenance, at which redis-py waits for 10 s and more
        protocol=2,
        driver_info=None,  # two round trips to introduce itself
    )
    kind = pool.connection_class
    pool.connection_class = type(f"Hurried{kind.__name__}", (_Hurried, kind), {})
    return redis.Redis.from_pool(pool)


class _Hurried:
    # mixed into redis-py's kinds of connection: TCP, TLS, Unix socket

    def _connect(self) -> Any:
        return _HurriedSocket(super()._connect())  # type: ignore[misc]  # the kind has it


class _HurriedSocket:
    # a socket whose timeout is for all the reads that follow a write

    def __init__(self, connected: Any) -> None:
        self._socket = connected
        self._timeout: float | None = connected.gettimeout()
        self._deadline = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self._timeout)
        self._socket.sendall(data)
        self._deadline = time.monotonic() + (self._timeout or 0.0)

    def recv(self, most: int, *flags: int) -> bytes:
        self._set_remaining_timeout()
        data: bytes = self._socket.recv(most, *flags)
        self._deadline += len(data) / SLOWEST
        return data

    def recv_into(self, buffer: Any, *sizes: int) -> int:
        self._set_remaining_timeout()
        size: int = self._socket.recv_into(buffer, *sizes)
        self._deadline += size / SLOWEST
        return size

    def _set_remaining_timeout(self) -> None:
        if not self._timeout:  # redis-py looks whether there is something to read
            return
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the reply comes too slowly")
        self._socket.settimeout(left)
