"""A real Redis Cluster on ports of 127.0.0.1: three nodes with a third of the slots each, and one
that follows the node which has the keys of a model.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from own_redis import SYSTEM, free_port, own_redis
from until import until

NODES = 3
HIGHEST = 55_535  # a node's own port for the others is 10,000 higher
OPTIONS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")


class Node:
    """One process, and a client of it that knows no other; `port`: where callers reach it."""

    def __init__(self, process: "subprocess.Popen[bytes]", plain: int, port: int) -> None:
        self.process, self.port = process, port
        self.client: Any = redis.Redis(port=plain, protocol=2)
        self.name: str = self.client.cluster("myid").decode()


class RedisCluster:
    """Its `nodes`, of which `owner` has the slot of `model` and `follower` its copy. `trusted`: the
    certificate, of one that speaks TLS.
    """

    def __init__(self, nodes: Sequence[Node], model: str, trusted: Path | None) -> None:
        *self.nodes, self.follower = nodes
        self.trusted = trusted
        self.slot = key_slot(f"afm:{{{model}}}:active".encode())
        self.owner = self.nodes[self.slot * NODES // REDIS_CLUSTER_HASH_SLOTS]
        for number, node in enumerate(self.nodes):
            span = [number * REDIS_CLUSTER_HASH_SLOTS // NODES]
            span += [(number + 1) * REDIS_CLUSTER_HASH_SLOTS // NODES]
            node.client.execute_command("CLUSTER", "ADDSLOTS", *range(*span))
            node.client.execute_command("CONFIG", "SET", "cluster-require-full-coverage", "no")
        for node in nodes:
            self.nodes[0].client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        until(lambda: all(len(known_to(node)) == len(nodes) for node in nodes))
        until(lambda: all(state(node) == "ok" for node in self.nodes))
        self.follower.client.execute_command("CLUSTER", "REPLICATE", self.owner.name)
        until(lambda: b"slave" in self.nodes[0].client.execute_command("CLUSTER", "NODES"))
        until(lambda: self.follower.client.info("replication")["master_link_status"] == "up")

    @property
    def url(self) -> str:
        """Of two of its nodes, of which neither has the model's keys."""
        others = [node for node in self.nodes if node is not self.owner]
        places = ",".join(f"127.0.0.1:{node.port}" for node in others)
        if self.trusted is None:
            return f"redis+cluster://{places}"
        return f"rediss+cluster://{places}/0?ssl_ca_certs={self.trusted}"

    def lose_owner(self) -> None:
        """Kill the node that has the model's keys, and wait until the follower has its place."""
        self.owner.client.wait(1, 5000)
        self.owner.process.kill()
        until(lambda: self.follower.client.info("replication")["role"] == "master")
        self.nodes[self.nodes.index(self.owner)] = self.owner = self.follower

    def move(self) -> None:
        """Give the model's slot, with all its keys, to another node, as resharding does."""
        target = next(node for node in self.nodes if node is not self.owner)
        source = self.owner
        target.client.execute_command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", source.name)
        source.client.execute_command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", target.name)
        while keys := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, 100):
            source.client.migrate("127.0.0.1", target.port, keys, 0, 5000)
        for node in self.nodes:
            node.client.execute_command("CLUSTER", "SETSLOT", self.slot, "NODE", target.name)
        self.owner = target


def known_to(node: Node) -> list[bytes]:
    """The nodes that one knows and reaches."""
    lines: list[bytes] = node.client.execute_command("CLUSTER", "NODES").splitlines()
    return [line for line in lines if b"handshake" not in line and b"fail" not in line]


def state(node: Node) -> Any:
    """What a node says of the cluster."""
    return node.client.cluster("info")["cluster_state"]


@contextmanager
def redis_cluster(
    folder: Path, model: str, secret: tuple[Path, Path] | None = None
) -> Iterator[RedisCluster]:
    """Gone with the block. `secret`: the certificate and its key, for one that speaks TLS."""
    with ExitStack() as stack:
        nodes = []
        for number in range(NODES + 1):
            tls = free_port(HIGHEST)
            options = [*OPTIONS, *(() if secret is None else tls_options(tls, *secret))]
            process, plain = stack.enter_context(
                own_redis(
                    folder / f"node{number}",
                    *options,
                    server="redis" if secret is None else SYSTEM,
                    highest=HIGHEST,
                )
            )
            nodes.append(Node(process, plain, plain if secret is None else tls))
        yield RedisCluster(nodes, model, secret and secret[0])


def tls_options(port: int, certificate: Path, key: Path) -> list[str]:
    """For a node that speaks TLS with callers and with the other nodes."""
    options = {
        "port": port, "auth-clients": "no", "ca-cert-file": certificate,
        "cert-file": certificate, "key-file": key, "cluster": "yes", "replication": "yes",
    }  # fmt: skip
    return [word for name, said in options.items() for word in (f"--tls-{name}", str(said))]
