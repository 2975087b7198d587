"""A real Redis behind a proxy, and the ways in which both of them fail and come back."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from narrowing import of_class
from own_redis import own_redis
from proxy import Proxy
from service.store.redis_client import redis_client

PASSWORD = "s3cret"  # noqa: S105  a test's own Redis, on loopback
OPTIONS = (
    *("--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no"),
    *("--requirepass", PASSWORD),
)
BALLAST = 15_000  # keys whose loading takes a while, at LOAD_DELAY each
LOAD_DELAY = 100  # microseconds


def _command_of(process: subprocess.Popen[bytes]) -> list[str]:
    return [str(word) for word in of_class(list, process.args)]


class FaultyRedis:
    """Redis as the service sees it, at `url`; `direct` reaches the real one, past the proxy."""

    def __init__(
        self, folder: Path, port: int, process: subprocess.Popen[bytes], proxy: Proxy
    ) -> None:
        self.folder = folder
        self.port = port
        self.process = process
        self.proxy = proxy
        self._command = _command_of(process)
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{proxy.port}/0"
        self._started: list[subprocess.Popen[bytes]] = []
        self._others = ExitStack()

    @property
    def direct_url(self) -> str:
        """The way past the proxy."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def direct(self) -> Any:  # its types mix up str and bytes
        """A client past the proxy."""
        return redis_client(self.direct_url, 5.0)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def start(self, *options: str) -> None:
        """Start it anew on its port and data."""
        self.process = subprocess.Popen([*self._command, *options])
        self._started.append(self.process)

    def wait_until_it_answers(self, *, loaded: bool = True) -> None:
        """Return once it does, or once it says that it is loading."""
        deadline = time.monotonic() + 30
        while True:
            try:
                with self.direct() as client:
                    client.ping()
                assert loaded, "it loaded too fast"
                return
            except redis.BusyLoadingError:
                if not loaded:
                    return
            except redis.RedisError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def fail_over(self, *, old_stays: bool) -> None:
        """A replica takes over at another port; with `old_stays`, connections to the old one last,
        and it answers there as if nothing had happened.
        """
        folder = self.folder / f"failover-{time.monotonic_ns()}"
        options = (*OPTIONS, "--masterauth", PASSWORD)
        process, port = self._others.enter_context(own_redis(folder, *options))
        with redis.Redis(port=port, password=PASSWORD) as other:
            other.replicaof("127.0.0.1", self.port)
            deadline = time.monotonic() + 20
            while other.info("replication")["master_link_status"] != "up":
                assert time.monotonic() < deadline
                time.sleep(0.02)
            other.replicaof("no", "one")
        if not old_stays:
            self.kill()
        self.process, self._command = process, _command_of(process)
        self.port = self.proxy.target = port

    def close(self) -> None:
        """End what was started beside the first one."""
        self._others.close()
        for process in self._started:
            process.kill()
            process.wait()


@contextmanager
def faulty_redis(folder: Path) -> Iterator[FaultyRedis]:
    """One that is well, with nothing in it."""
    with own_redis(folder, *OPTIONS) as (process, port), Proxy(port).running() as proxy:
        made = FaultyRedis(folder, port, process, proxy)
        try:
            yield made
        finally:
            made.close()


# Each breaks it, and returns what mends it again; the mended one answers at once.
Mend = Callable[[], None]


def _kill(it: FaultyRedis) -> Mend:
    it.kill()

    def mend() -> None:
        it.start()
        it.wait_until_it_answers()

    return mend


def _pause(it: FaultyRedis) -> Mend:
    # a pause holds up CLIENT UNPAUSE as well, but not for a replica
    replica = socket.create_connection(("127.0.0.1", it.port), timeout=10)
    replica.sendall(f"AUTH {PASSWORD}\r\n".encode())
    assert replica.recv(5) == b"+OK\r\n"
    replica.sendall(b"SYNC\r\n")
    assert replica.recv(1)
    with it.direct() as client:
        client.execute_command("CLIENT", "PAUSE", 90_000)

    def mend() -> None:
        replica.sendall(b"CLIENT UNPAUSE\r\n")
        it.wait_until_it_answers()
        replica.close()

    return mend


def _proxied(mode: str) -> Callable[[FaultyRedis], Mend]:
    def break_it(it: FaultyRedis) -> Mend:
        it.proxy.set(mode)
        return lambda: it.proxy.set("pass")

    return break_it


def _wrong_password(it: FaultyRedis) -> Mend:
    client = it.direct()
    client.config_set("requirepass", "another")
    it.proxy.reset()  # a connection stays logged in when the password changes

    def mend() -> None:
        client.config_set("requirepass", PASSWORD)
        client.close()

    return mend


def _replica(*, answers_reads: bool) -> Callable[[FaultyRedis], Mend]:
    # a replica whose primary is gone: it says READONLY to writes, and to reads, which are all that
    # the service asks, MASTERDOWN unless it may answer with what it has
    stale = "yes" if answers_reads else "no"

    def break_it(it: FaultyRedis) -> Mend:
        with it.direct() as client:
            client.config_set("replica-serve-stale-data", stale)
            client.replicaof("127.0.0.1", 1)

        def mend() -> None:
            with it.direct() as client:
                client.replicaof("no", "one")
                client.config_set("replica-serve-stale-data", "yes")

        return mend

    return break_it


def _out_of_memory(it: FaultyRedis) -> Mend:
    with it.direct() as client:
        client.config_set("maxmemory", 1)

    def mend() -> None:
        with it.direct() as client:
            client.config_set("maxmemory", 0)

    return mend


def _loading(it: FaultyRedis) -> Mend:
    with it.direct() as client:
        pipe = client.pipeline(transaction=False)
        for i in range(BALLAST):
            pipe.set(f"ballast:{i}", i)
        pipe.execute()
    it.kill()
    it.start("--key-load-delay", str(LOAD_DELAY))
    it.wait_until_it_answers(loaded=False)
    return it.wait_until_it_answers


def _failover(*, old_stays: bool) -> Callable[[FaultyRedis], Mend]:
    def break_it(it: FaultyRedis) -> Mend:
        it.fail_over(old_stays=old_stays)
        return lambda: None

    return break_it


FAULTS: dict[str, Callable[[FaultyRedis], Mend]] = {
    "kill -9": _kill,
    "CLIENT PAUSE 90000": _pause,
    "black hole": _proxied("black hole"),
    "reset": _proxied("reset"),
    "1 byte a second": _proxied("trickle"),
    "wrong password": _wrong_password,
    "READONLY": _replica(answers_reads=True),
    "MASTERDOWN": _replica(answers_reads=False),
    "OOM": _out_of_memory,
    "LOADING": _loading,
    "failover, the old one stays": _failover(old_stays=True),
    "failover, the old one dies": _failover(old_stays=False),
}
