"""The keys of one model in Redis, and the connection to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import AskError, ClusterCrossSlotError

from service.errors import StoreError, StoreUnavailable
from service.store.cluster_nodes import MOVED
from service.store.redis_client import RedisLink

REDIS_TIMEOUT_SECONDS = 1.0  # for one command, or to connect


class ModelKeys:
    """The keys of one model in Redis, and the connection to them. Each method may raise
    StoreUnavailable.

    `address`: the URL of Redis, or a file that holds it. Connects when first used; `timeout` in
    seconds is for one command. Not shared between threads.
    """

    def __init__(
        self, address: str | Path, model: str, timeout: float = REDIS_TIMEOUT_SECONDS
    ) -> None:
        self.model = model
        self._link = RedisLink(address, model, timeout)

    @property
    def redis(self) -> Any:
        """The client.

        Raises:
            StoreUnavailable: the file with the URL of Redis cannot be read.
        """
        return self._link.client()

    @property
    def url(self) -> str:
        """The URL of Redis, without its password."""
        return self._link.shown

    def close(self) -> None:
        """Close the connection; a new one is made when next used."""
        self._link.close()

    def key(self, *parts: str) -> str:
        """A key of this model."""
        return self._link.key(*parts)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Commands to Redis, whose errors become the service's own.

        Raises:
            StoreError: Redis refuses one.
            StoreUnavailable: it does not answer.
        """
        try:
            yield
        except redis.ResponseError as error:
            if self._link.in_cluster and isinstance(error, MOVED):
                self.close()
                raise StoreUnavailable(f"Redis Cluster at {self.url}: {error}") from error
            hint = ""
            if isinstance(error, (AskError, ClusterCrossSlotError)):
                hint = "; it is a node of a Redis Cluster: its URL begins with redis+cluster://"
            raise StoreError(f"Redis at {self.url} refuses: {error}{hint}") from error
        except (redis.RedisError, OSError) as error:
            self.close()  # another node may have the keys now
            raise StoreUnavailable(f"Redis at {self.url} cannot be reached: {error}") from error

    def evicts(self) -> str | None:
        """The server's eviction policy where it may drop what is published, else None."""
        with self.reaching():
            memory = self.redis.info("memory")
        policy = str(memory.get("maxmemory_policy", ""))
        # the volatile- policies drop what expires, and nothing that is published does
        return policy if memory.get("maxmemory") and policy.startswith("allkeys") else None
