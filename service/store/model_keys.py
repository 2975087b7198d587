"""The keys of one model in Redis, and the connection to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from service.errors import StoreError, StoreUnavailable
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
        self._link = RedisLink(address, timeout)

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
        return ":".join(("afm", self.model, *parts))

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
            raise StoreError(f"Redis at {self.url} refuses: {error}") from error
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable(f"Redis at {self.url} cannot be reached: {error}") from error

    def evicts(self) -> str | None:
        """The server's eviction policy where it may drop what is published, else None."""
        with self.reaching():
            memory = self.redis.info("memory")
        policy = str(memory.get("maxmemory_policy", ""))
        # the volatile- policies drop what expires, and nothing that is published does
        return policy if memory.get("maxmemory") and policy.startswith("allkeys") else None
