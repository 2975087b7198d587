"""A stop in order: SIGTERM under load loses no request that was accepted."""

import contextlib
import json
import signal
import socket
import threading
import time
from typing import Any

import httpx
import pytest

from commands import Commands
from model.bundle.bundle import Bundle

BODY = json.dumps({"instances": [{"device": "ios", "ad": "a1"}]}).encode()
REQUEST = (
    b"POST /predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def answer(found: Any) -> Any:
    """Status and headers of the next answer; None where the server closed before it began."""
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
        part = found.recv(1 << 16)
        if not part:
            assert not data, "closed within an answer"
            return None
        data += part
    return int(data.split()[1]), data.partition(b"\r\n\r\n")[0].lower()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_loses_no_request_and_follows_its_order(
    commands: Commands, tiny_bundle: Bundle, workers: int
) -> None:
    commands.publish(tiny_bundle.directory)
    with (
        commands.serving(workers=workers, AFM_DRAIN_SECONDS="2") as served,
        contextlib.ExitStack() as sockets,
    ):
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        address = ("127.0.0.1", served.port)
        faults, asked, closing = [], [0], []
        stopped = threading.Event()

        def connect() -> Any:
            return sockets.enter_context(socket.create_connection(address, 10))

        def keep_asking() -> None:
            found = connect()
            while not stopped.is_set():
                try:
                    found.sendall(REQUEST)
                    got = answer(found)
                except (OSError, AssertionError) as error:
                    faults.append(repr(error))
                    return
                if got is None or got[0] != 200:
                    faults.append(got)
                    return
                asked[0] += 1
                if b"connection: close" in got[1]:
                    closing.append(True)
                    return

        threads = [threading.Thread(target=keep_asking) for _ in range(8)]
        for thread in threads:
            thread.start()
        unsent = [connect() for _ in range(10)]
        half = connect()
        half.sendall(REQUEST[:60])
        probe = sockets.enter_context(httpx.Client(base_url=served.url))
        time.sleep(0.3)
        served.process.send_signal(signal.SIGTERM)
        readiness = set()
        for found in unsent[:5]:  # sent while it drains
            time.sleep(0.05 if workers == 1 else 0.12)
            found.sendall(REQUEST)
            status, _ = answer(found)
            assert status == 200
            with contextlib.suppress(httpx.TransportError):
                readiness.add(probe.get("/readyz").json().get("code"))
        for thread in threads:
            thread.join()
        time.sleep(0.2)
        half.sendall(REQUEST[60:])
        status, head = answer(half)
        assert status == 200
        assert b"connection: close" in head
        assert served.process.wait(timeout=20) == 0
        assert faults == []
        assert len(closing) == len(threads)
        assert asked[0] > 50
        assert "stopping" in readiness
        for found in unsent[5:]:
            assert found.recv(1) == b""  # an end, not a reset
    assert "Traceback" not in served.log.read_text()


def test_a_request_that_is_sent_while_connections_are_closed_is_answered(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    """Bytes may wait in the socket of an idle connection: closing it would reset it."""
    commands.publish(tiny_bundle.directory)
    with commands.serving(AFM_DRAIN_SECONDS="0") as served, contextlib.ExitStack() as sockets:
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        address = ("127.0.0.1", served.port)
        unsent = [sockets.enter_context(socket.create_connection(address, 10)) for _ in range(40)]
        with httpx.Client(base_url=served.url) as client:
            for _ in range(3):
                client.get("/healthz")
        served.process.send_signal(signal.SIGSTOP)  # SIGTERM and bytes are there when it continues
        for found in unsent:
            found.sendall(REQUEST)
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGCONT)
        assert [answer(found)[0] for found in unsent] == [200] * len(unsent)
        assert served.process.wait(timeout=20) == 0


class Callers:
    """Each asks again and again, on a new connection each time or always on one; what is neither
    an answer nor a refused connection is a fault.
    """

    def __init__(self, port: Any, number: Any, keep: Any) -> None:
        self.port, self.keep = port, keep
        self.over = threading.Event()
        self.answers = self.refused = 0
        self.faults: list[str] = []
        self.threads = [threading.Thread(target=self.ask) for _ in range(number)]
        for thread in self.threads:
            thread.start()

    def ask(self) -> None:
        while not self.over.is_set():
            try:
                found = socket.create_connection(("127.0.0.1", self.port), 5)
            except ConnectionRefusedError:
                self.refused += 1
                return
            except OSError as fault:
                self.faults.append(repr(fault))
                return
            with found:
                kept = True
                while kept and not self.over.is_set():
                    try:
                        found.sendall(REQUEST)
                        status, head = answer(found)
                        assert status == 200
                    except (OSError, AssertionError, TypeError) as fault:
                        self.faults.append(repr(fault))
                        return
                    self.answers += 1
                    kept = self.keep and b"connection: close" not in head

    def join(self) -> None:
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_answers_every_connection_that_it_does_not_refuse(
    commands: Commands, tiny_bundle: Bundle, workers: int
) -> None:
    commands.publish(tiny_bundle.directory)
    with (
        commands.serving(workers=workers, AFM_DRAIN_SECONDS="0.3") as served,
        contextlib.ExitStack() as sockets,
    ):
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        callers = Callers(served.port, 6, keep=False)
        uploads = [
            sockets.enter_context(socket.create_connection(("127.0.0.1", served.port), 10))
            for _ in range(8)
        ]
        for found in uploads:  # of which the workers wait for the end, longer than for new callers
            found.sendall(REQUEST[:-20])
        time.sleep(0.3)
        served.process.send_signal(signal.SIGTERM)
        callers.join()
        for found in uploads:
            found.sendall(REQUEST[-20:])
        assert [answer(found)[0] for found in uploads] == [200] * len(uploads)
        assert served.process.wait(timeout=20) == 0
    assert callers.faults == []
    assert callers.refused == 6
    assert callers.answers > 50


def test_sighup_replaces_every_worker_and_loses_nothing(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    commands.publish(tiny_bundle.directory)
    with commands.serving(workers=2, AFM_DRAIN_SECONDS="2") as served:
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        before = set(served.workers())
        pools = [Callers(served.port, 3, keep=keep) for keep in (False, True)]
        served.process.send_signal(signal.SIGHUP)
        ready = set()
        deadline = time.monotonic() + 60
        while before & set(served.workers()):
            assert time.monotonic() < deadline, served.log.read_text()
            ready.add(httpx.get(served.url + "/readyz").status_code)
            time.sleep(0.1)
        for callers in pools:
            callers.over.set()
            callers.join()
            assert callers.faults == []
            assert callers.answers > 50
            assert callers.refused == 0
        assert ready == {200}
        assert len(served.workers()) == 2
        served.process.send_signal(signal.SIGINT)  # to the parent, and its workers do not wait
        assert served.process.wait(timeout=20) == 0
    assert "Traceback" not in served.log.read_text()


def test_sigint_to_the_parent_leaves_the_wait_out(commands: Commands, tiny_bundle: Bundle) -> None:
    commands.publish(tiny_bundle.directory)
    with commands.serving(workers=2, AFM_DRAIN_SECONDS="300") as served:
        served.process.send_signal(signal.SIGTERM)
        served.wait_until("/readyz", lambda found: found.json().get("code") == "stopping")
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(timeout=20) == 0


def test_a_connection_that_was_just_made_may_still_ask(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    """Its request is on the way when the worker stops."""
    commands.publish(tiny_bundle.directory)
    with commands.serving(AFM_DRAIN_SECONDS="0") as served, contextlib.ExitStack() as sockets:
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        served.process.send_signal(signal.SIGSTOP)  # it accepts them when it continues
        address = ("127.0.0.1", served.port)
        late = [sockets.enter_context(socket.create_connection(address, 10)) for _ in range(20)]
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGCONT)
        served.wait_for_log("Shutting down")
        for found in late:
            found.sendall(REQUEST)
        assert [answer(found)[0] for found in late] == [200] * len(late)
        assert served.process.wait(timeout=20) == 0


def test_an_upload_that_does_not_end_gets_a_503_when_the_stop_is_over(commands: Commands) -> None:
    with (
        commands.serving(AFM_DRAIN_SECONDS="0") as served,
        socket.create_connection(("127.0.0.1", served.port), 30) as found,
    ):
        found.sendall(REQUEST[:-20])
        httpx.get(served.url + "/healthz")  # behind it, so that it was read
        served.process.send_signal(signal.SIGTERM)
        status, head = answer(found)
        assert status == 503
        assert b"application/problem+json" in head
        assert served.process.wait(timeout=20) == 0
    assert "CancelledError" not in served.log.read_text()
