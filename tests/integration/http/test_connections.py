"""Callers that hold connections make room for others, and a killed worker loses only its own."""

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands import Commands
from model.bundle.bundle import Bundle
from raw_requests import ROWS, connect, cut, received, request
from until import until


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Any]:
    """A worker of few connections, and not many more files."""
    commands = Commands(tmp_path_factory.mktemp("small"))
    commands.publish(tiny_bundle.directory)
    with commands.serving(AFM_MAX_CONNECTIONS="60") as running:
        running.wait_until("/readyz", lambda answer: answer.status_code == 200)
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (150, 150))
        yield running


def test_callers_that_hold_connections_make_room_for_those_that_ask(small: Any) -> None:
    before = cut(small, "too_many")
    ask: dict[str, Any] = {"url": small.url + "/predict", "json": {"instances": ROWS}}
    expected = httpx.post(**ask).json()
    with httpx.Client(timeout=10) as pool, ExitStack() as held:
        for number in range(250):
            caller = held.enter_context(connect(small))
            caller.sendall(request()[: 30 + number])  # half a head, or of a body
            if number % 5 == 0:
                assert pool.post(**ask).json() == expected
                assert httpx.post(**ask).json() == expected
    assert cut(small, "too_many") > before + 150
    assert small.log.read_text().count("too many connections") == 1


def test_idle_connections_make_room_the_oldest_first(small: Any) -> None:
    with ExitStack() as held:
        idle = []
        for _ in range(100):
            idle.append(held.enter_context(connect(small)))
            idle[-1].sendall(request())
            assert idle[-1].recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert received(idle[0]) == b""
        idle[-1].sendall(request())
        assert idle[-1].recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_killed_worker_loses_only_its_requests_in_flight(
    tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle
) -> None:
    commands = Commands(tmp_path_factory.mktemp("killed"))
    commands.publish(tiny_bundle.directory)
    with commands.serving(workers=2) as running:
        running.wait_until("/readyz", lambda answer: answer.status_code == 200)
        until(lambda: len(running.workers()) == 2)
        ask: dict[str, Any] = {"url": running.url + "/predict", "json": {"instances": ROWS}}
        expected = httpx.post(**ask).json()
        over, answers, lost = threading.Event(), [], []

        def keep_asking() -> None:
            while not over.is_set():
                with httpx.Client(timeout=10) as pool:
                    try:
                        while not over.is_set():
                            answers.append(pool.post(**ask).json())
                    except httpx.TransportError:
                        lost.append(threading.get_ident())

        threads = [threading.Thread(target=keep_asking) for _ in range(16)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 200)
        victim = running.workers()[0]
        held = connections_of(victim)
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in (now := running.workers()) and len(now) == 2)
        some = len(answers)
        until(lambda: len(answers) > some + 200)
        over.set()
        for thread in threads:
            thread.join()
    assert len(lost) <= held
    assert len(set(lost)) == len(lost)  # a connection to the dead one is lost once
    assert all(answer == expected for answer in answers)


def connections_of(pid: Any) -> Any:
    """How many callers a process has."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            sockets.add(link.readlink().name)
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    established = [line.split()[9] for line in lines if line.split()[3] == "01"]
    return sum(f"socket:[{inode}]" in sockets for inode in established)
