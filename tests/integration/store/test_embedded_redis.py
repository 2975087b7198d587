"""The embedded Redis: one a home, shared, and gone with the last command however that one ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from narrowing import not_none
from service.errors import StoreUnavailable
from service.store.embedded_redis import EmbeddedRedis

USER = """
import sys
from pathlib import Path
from service.store.embedded_redis import EmbeddedRedis
with EmbeddedRedis(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def user(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that uses the home's Redis until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        not_none(process.stdin).close()
        process.wait(timeout=30)
        not_none(process.stdout).close()


def url_of(process: "subprocess.Popen[str]") -> str:
    return not_none(process.stdout).readline().strip()


def server_pid(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ends(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_two_commands_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    with user(tmp_path) as first, user(tmp_path) as second, user(tmp_path) as third:
        urls = {url_of(process) for process in (first, second, third)}
        assert len(urls) == 1
        pid = server_pid(urls.pop())
        not_none(second.stdin).close()
        second.wait(timeout=10)
        time.sleep(0.3)
        assert Path(f"/proc/{pid}").exists()
    assert ends(pid)


def test_the_server_ends_when_its_last_user_is_killed(tmp_path: Path) -> None:
    with user(tmp_path) as only:
        pid = server_pid(url_of(only))
        supervisor = parent_of(pid)
        only.send_signal(signal.SIGKILL)
        assert ends(pid)
        assert ends(supervisor)


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "kept")
        pid = server_pid(server.url)
    assert ends(pid)
    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") == b"kept"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_what_was_written_outlives_a_killed_server_which_is_started_anew(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("key", "kept")
        first = server_pid(server.url)
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 15
        while True:
            try:
                with redis.Redis.from_url(server.url) as client:
                    assert client.get("key") == b"kept"
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert server_pid(server.url) != first


def test_a_killed_supervisor_leaves_no_server_and_the_next_user_gets_a_new_one(
    tmp_path: Path,
) -> None:
    with EmbeddedRedis(tmp_path) as server:
        pid = server_pid(server.url)
        os.kill(parent_of(pid), signal.SIGKILL)
        assert ends(pid)
        with EmbeddedRedis(tmp_path) as again:
            assert again.url == server.url
            assert server_pid(again.url) != pid


def test_one_that_comes_while_the_last_one_leaves_is_served(tmp_path: Path) -> None:
    for turn in range(8):
        with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
            assert client.incr("turns") == turn + 1
        # about as long as the supervisor needs to notice: so that some arrive in the middle of it
        time.sleep(0.02 * turn)


def test_each_home_has_a_server_of_its_own(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "a") as first, EmbeddedRedis(tmp_path / "b") as second:
        assert server_pid(first.url) != server_pid(second.url)


def test_a_home_with_a_long_path_and_odd_characters_works(tmp_path: Path) -> None:
    home = tmp_path / ("ünïcode and spaces " * 8)
    with EmbeddedRedis(home) as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()


def test_the_same_home_by_another_name_is_the_same_server(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with EmbeddedRedis(tmp_path / "real") as one, EmbeddedRedis(tmp_path / "link") as other:
        assert server_pid(one.url) == server_pid(other.url)


def test_only_its_owner_can_reach_the_server(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        path = Path(server.url.removeprefix("unix://"))
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("port") == {"port": "0"}


def test_a_home_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="Not a directory") as caught:
        EmbeddedRedis(tmp_path / "file" / "home")
    assert "\n" not in str(caught.value)


def test_data_that_redis_cannot_read_is_one_clear_line_that_names_the_log(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"*1\r\nnonsense nonsense")
    with pytest.raises(StoreUnavailable, match=r"does not start.*redis\.log") as caught:
        EmbeddedRedis(tmp_path)
    assert "\n" not in str(caught.value)
