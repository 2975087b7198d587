"""A stop in order: SIGTERM under load loses no request that was accepted."""

import contextlib
import json
import signal
import socket
import threading
import time

import httpx
import pytest

BODY = json.dumps({"instances": [{"device": "ios", "ad": "a1"}]}).encode()
REQUEST = (
    b"POST /predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def answer(found):
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
def test_sigterm_loses_no_request_and_follows_its_order(commands, tiny_bundle, workers):
    commands.publish(tiny_bundle.directory)
    with (
        commands.serving(workers=workers, AFM_DRAIN_SECONDS="2") as served,
        contextlib.ExitStack() as sockets,
    ):
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        address = ("127.0.0.1", served.port)
        faults, asked, told = [], [0], []
        stopped = threading.Event()

        def connect():
            return sockets.enter_context(socket.create_connection(address, 10))

        def keep_asking():
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
                    told.append(True)
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
        assert len(told) == len(threads)
        assert asked[0] > 50
        assert "stopping" in readiness
        for found in unsent[5:]:
            assert found.recv(1) == b""  # an end, not a reset
    assert "Traceback" not in served.log.read_text()


def test_a_request_that_is_sent_while_connections_are_closed_is_answered(commands, tiny_bundle):
    """Bytes may wait in the socket of an idle connection: closing it would reset it."""
    commands.publish(tiny_bundle.directory)
    with commands.serving(AFM_DRAIN_SECONDS="0") as served, contextlib.ExitStack() as sockets:
        served.wait_until("/readyz", lambda found: found.status_code == 200)
        address = ("127.0.0.1", served.port)
        unsent = [sockets.enter_context(socket.create_connection(address, 10)) for _ in range(40)]
        with httpx.Client(base_url=served.url) as client:
            for _ in range(3):
                client.get("/healthz")
        served.process.send_signal(signal.SIGSTOP)  # SIGTERM and bytes are there when it goes on
        for found in unsent:
            found.sendall(REQUEST)
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGCONT)
        assert [answer(found)[0] for found in unsent] == [200] * len(unsent)
        assert served.process.wait(timeout=20) == 0
