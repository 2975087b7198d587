"""A real Redis with the users of docker/, and the commands that they must not get through."""

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from own_redis import own_redis
from until import until

DOCKER = Path(__file__).parents[2] / "docker"
FOR_NOBODY = [
    *(("flushall",), ("flushdb",), ("config", "get", "*"), ("keys", "*"), ("scan", "0")),
    *(("eval", "return 1", "0"), ("script", "flush"), ("acl", "list"), ("debug", "sleep", "0")),
    *(("shutdown", "nosave"), ("replicaof", "no", "one"), ("save",), ("monitor",)),
    *(("module", "list"), ("migrate", "h", "1", "k", "0", "1"), ("client", "kill", "1:1")),
    *(("client", "pause", "1"), ("client", "unblock", "1"), ("client", "tracking", "on")),
    *(
        ("get", "other"),
        ("subscribe", "afm:ads"),
        ("publish", "afm:ads", "x"),
        ("swapdb", "0", "1"),
    ),
]
WRITES = [
    *(
        ("set", "afm:ads:active", "v0"),
        ("del", "afm:ads:active"),
        ("expire", "afm:ads:active", "1"),
    ),
    *(("hset", "afm:ads:vocabulary:v", "f", "x"), ("rename", "afm:ads:active", "afm:ads:x")),
    *(("lpush", "afm:ads:previous", "v0"), ("zadd", "afm:ads:versions", "1", "v0")),
    *(("append", "afm:ads:active", "x"), ("getset", "afm:ads:active", "x"), ("multi",)),
    *(("sort", "afm:ads:previous", "store", "afm:ads:x"), ("copy", "afm:ads:active", "afm:ads:y")),
    *(
        ("restore", "afm:ads:z", "0", "x"),
        ("getdel", "afm:ads:active"),
        ("persist", "afm:ads:active"),
    ),
]


@contextmanager
def guarded_redis(home: Path, server: str = "redis") -> Iterator[int]:
    """A Redis, or Valkey, with the users' file, which keeps what it is given; yields its port."""
    acl = home / "users.acl"
    acl.write_text(users(home / "logins", "host:1"))
    kept = ("--appendonly", "yes", "--appendfsync", "always")
    with own_redis(home / "redis", "--aclfile", str(acl), *kept, server=server) as (_, port):
        until(lambda: has_loaded(logins_of(home, port)["operator"]))
        yield port


def has_loaded(url: str) -> bool:
    """Whether it has read what it kept: until then it takes connections and refuses commands."""
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.BusyLoadingError:
            return False


def logins_of(home: Path, port: int) -> dict[str, str]:
    return {
        path.parent.name: path.read_text().strip().replace("host:1", f"127.0.0.1:{port}")
        for path in (home / "logins").glob("*/url")
    }


def users(folder: Path, host: str) -> str:
    run = subprocess.run(
        ["sh", str(DOCKER / "redis-users.sh"), str(DOCKER / "redis-users.acl"), str(folder), host],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def refused(
    url: str, commands: Iterable[Sequence[str]]
) -> list[tuple[Sequence[str], redis.RedisError | None]]:
    """Which of the commands are not."""
    let_through: list[tuple[Sequence[str], redis.RedisError | None]] = []
    for command in commands:
        with redis.Redis.from_url(url) as client:
            try:
                client.execute_command(*command)
            except redis.exceptions.NoPermissionError:
                continue
            except redis.RedisError as error:
                if "DEBUG command not allowed" not in str(error):  # Valkey looks at that first
                    let_through.append((command, error))
            else:
                let_through.append((command, None))
    return let_through
