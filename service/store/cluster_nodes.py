"""Finds the node of a Redis Cluster that has one model's keys.

A cluster divides its keys by the part of their names in braces, so that all keys of a model, which
begin with `afm:{model}:` there, are on one node. Commands and transactions go to this node as to a
single Redis; when another node takes the keys over, it is looked for again.
"""

from collections.abc import Callable
from typing import Any

import redis
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, TryAgainError

from service.errors import StoreUnavailable
from service.redis_url import ClusterUrl

MOVED = (AskError, TryAgainError, ClusterDownError)
"""What a node answers that does not have the keys now, or while the cluster has no such node.
MovedError is an AskError.
"""


class ClusterNodes:
    """The nodes known of a cluster. `connected`: makes the client of a URL."""

    def __init__(self, connected: Callable[[str], Any]) -> None:
        self._connected = connected
        self._known: list[str] = []  # beside the URL's; which one answered last comes first

    def owner(self, cluster: ClusterUrl, key: str) -> str:
        """The URL of the node that has a key. Each node is asked in turn, until one answers.

        Raises:
            StoreUnavailable: no node answers, or none has the key now.
            redis.ResponseError: a node refuses to say.
        """
        fault: Exception | None = None
        for place in dict.fromkeys([*self._known, *cluster.seeds]):
            client = self._connected(cluster.node(place))
            try:
                slots = client.cluster("slots")
            except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                fault = error
                continue
            finally:
                client.close()
            owners = {(first, last): _place(primary, place) for first, last, primary, *_ in slots}
            self._known = list(dict.fromkeys([place, *owners.values()]))
            slot = key_slot(key.encode())
            for (first, last), owner in owners.items():
                if first <= slot <= last:
                    return cluster.node(owner)
            fault = StoreUnavailable(f"no node of the cluster has the slot {slot}")
        raise StoreUnavailable(str(fault)) from fault


def _place(node: list[Any], asked: str) -> str:
    host, port = (node[0] or b"").decode(), int(node[1])
    if host in ("", "?"):  # it does not know by which name callers reach it
        host = asked.rpartition(":")[0].strip("[]")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
