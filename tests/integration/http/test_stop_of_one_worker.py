"""A worker that stops alone leaves the listening socket, which all workers share, to the others."""

import os
import signal
import socket

import httpx
import pytest

from commands import Commands, Serving
from model.bundle.bundle import Bundle
from until import until


def answers(served: Serving, times: int = 20) -> set[int]:
    """The status of /healthz by new connections, which all workers take."""
    return {httpx.get(served.url + "/healthz", timeout=5).status_code for _ in range(times)}


def successor(served: Serving, before: set[int]) -> int:
    """The worker that has come in place of one that ended."""
    until(lambda: len(set(served.workers()) - before) == 1)
    (new,) = set(served.workers()) - before
    return new


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_worker_that_is_ended_alone_is_replaced_and_the_service_answers(
    number: int, commands: Commands, tiny_bundle: Bundle
) -> None:
    commands.publish(tiny_bundle.directory)
    with commands.serving(workers=2, AFM_DRAIN_SECONDS="0.1") as served:
        until(lambda: served.log.read_text().count('"event": "listening"') == 2)
        before = set(served.workers())
        os.kill(min(before), number)
        new = successor(served, before)
        assert answers(served) == {200}
        until(lambda: served.log.read_text().count('"event": "listening"') == 3)
        assert {new} < set(served.workers())
        assert answers(served) == {200}
        assert served.stop() == 0


def test_a_stop_while_a_worker_begins_leaves_the_others_their_time(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    commands.publish(tiny_bundle.directory)
    with commands.serving(workers=2, AFM_DRAIN_SECONDS="300") as served:
        until(lambda: served.log.read_text().count('"event": "listening"') == 2)
        before = set(served.workers())
        os.kill(min(before), signal.SIGKILL)
        new = successor(served, before)
        served.wait_for_log(f"Started server process [{new}]")
        os.kill(new, signal.SIGSTOP)  # before it listens
        assert served.log.read_text().count('"event": "listening"') == 2
        served.process.send_signal(signal.SIGTERM)
        served.wait_until("/readyz", lambda found: found.json().get("code") == "stopping")
        os.kill(new, signal.SIGCONT)
        until(lambda: new not in served.workers())
        with socket.create_connection(("127.0.0.1", served.port), 5):
            assert answers(served) == {200}
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(timeout=20) == 0
