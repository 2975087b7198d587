"""Answers over real sockets: head and body leave together, and nothing is lost or out of order."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from service.http.wire.protocol import OneWriteProtocol

REQUEST = b"GET /%s HTTP/1.1\r\nhost: here\r\n%s\r\n"


async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Answers /N with N chunks, /echo with the request's body."""
    if scope["type"] != "http":
        return
    path = scope["path"][1:]
    if path == "echo":
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        chunks = [body]
    else:
        chunks = [b"%d;" % number for number in range(int(path))]
    length = str(sum(map(len, chunks))).encode()
    headers = [(b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number, chunk in enumerate(chunks):
        if number % 7 == 6:
            await asyncio.sleep(0)
        more = number < len(chunks) - 1
        await send({"type": "http.response.body", "body": chunk, "more_body": more})


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    config = uvicorn.Config(
        app, port=0, loop=request.param, http=OneWriteProtocol, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        pass
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 5) as found:
        yield found


def everything(found: socket.socket, length: int) -> bytes:
    """What comes until a body of `length` bytes is whole."""
    received = b""
    while len(received.partition(b"\r\n\r\n")[2]) < length:
        part = found.recv(1 << 16)
        assert part, "closed before the end"
        received += part
    return received.partition(b"\r\n\r\n")[2]


def test_a_small_answer_comes_in_one_piece(port: int) -> None:
    with connection(port) as found:
        for _ in range(20):
            found.sendall(REQUEST % (b"1", b""))
            head, _, body = found.recv(1 << 16).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert body == b"0;"


@pytest.mark.parametrize("chunks", [1, 2, 30, 3000])
def test_a_body_of_many_chunks_comes_whole_and_in_order(port: int, chunks: int) -> None:
    expected = b"".join(b"%d;" % number for number in range(chunks))
    with connection(port) as found:
        found.sendall(REQUEST % (b"%d" % chunks, b""))
        assert everything(found, len(expected)) == expected


def test_an_answer_is_whole_before_the_connection_is_closed(port: int) -> None:
    with connection(port) as found:
        found.sendall(REQUEST % (b"40", b"connection: close\r\n"))
        received = b""
        while part := found.recv(1 << 16):
            received += part
        assert received.endswith(b"39;")


def test_pipelined_requests_are_answered_in_turn(port: int) -> None:
    with connection(port) as found:
        found.sendall(b"".join(REQUEST % (b"%d" % n, b"") for n in (1, 2, 3)))
        received = b""
        while received.count(b"HTTP/1.1 200") < 3 or not received.endswith(b"0;1;2;"):
            received += found.recv(1 << 16)
        bodies = [part.split(b"HTTP/1.1")[0] for part in received.split(b"\r\n\r\n")[1:]]
        assert bodies == [b"0;", b"0;1;", b"0;1;2;"]


def test_a_caller_that_waits_for_100_continue_gets_it_first(port: int) -> None:
    with connection(port) as found:
        expecting = b"content-length: 3\r\nexpect: 100-continue\r\n"
        found.sendall(REQUEST.replace(b"GET", b"POST") % (b"echo", expecting))
        assert found.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        found.sendall(b"abc")
        assert everything(found, 3) == b"abc"
