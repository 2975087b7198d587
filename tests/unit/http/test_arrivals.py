"""Whole requests that wait unparsed for their first turn, on real sockets."""

import asyncio
from asyncio.streams import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.http.wire.arrivals import Arrivals
from service.http.wire.connection import Connection
from service.http.wire.doorway import KEY, Doorway
from service.http.wire.incoming import incoming
from service.http.wire.refusals import Refusals
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission

BODY = b'{"instances": []}'


def request(name: str, more: bytes = b"") -> bytes:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\nx-request-id: %s\r\n%s" % (name.encode(), more)
    return head + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Worker:
    """An app that answers each request in one turn, behind the real protocol."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.expected: list[Any] = []
        self.telemetry = Telemetry()
        self.admission = Admission(self.telemetry)
        self.turns = self.admission.turns
        self.route_load = self.admission.route_load("/predict", 100)
        self.route_load.observe(2, len(BODY))
        self.connections: list[Connection] = []

    async def app(
        self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        name = incoming(scope).headers[b"x-request-id"].decode()
        self.begun.append(name)
        self.expected.append(incoming(scope).expected)
        await receive()
        if not name.startswith("no-turn"):
            with self.admission.inside(self.route_load, 2, len(BODY), incoming(scope).expected):
                await self.turns.take()
                self.turns.release(self.route_load.pace, 2)
        headers = [(b"content-length", b"%d" % len(name))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": name.encode()})

    def connection(self) -> Connection:
        config = uvicorn.Config(
            self.app,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
        )
        config.load()
        refusals = Refusals(self.admission, self.telemetry)
        shared = {KEY: Doorway(refusals, Arrivals(self.admission, lambda: True))}
        self.connections.append(Connection(config, ServerState(), shared))
        return self.connections[-1]

    def left(self) -> float:
        return float(self.telemetry.requests.labels("/predict", "none")._value.get())


class Caller:
    """One connection to it."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[bytes, str]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head.lower(), (await self.reader.readexactly(length)).decode()


Connect = Callable[..., Awaitable[Caller]]


@pytest.fixture
def run() -> Callable[..., Any]:
    """`run(main)`: `main(worker, connect)` to its end, which gets the only turn first."""

    async def whole(main: Any) -> None:
        worker = Worker()
        server = await asyncio.get_running_loop().create_server(worker.connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        callers = []

        async def connect(*sent: Any) -> Caller:
            callers.append(Caller(*await asyncio.open_connection("127.0.0.1", port)))
            for data in sent:
                callers[-1].writer.write(data)
            await asyncio.sleep(0.05)  # until it is read
            return callers[-1]

        await worker.turns.take()
        try:
            async with asyncio.timeout(20):
                await main(worker, connect)
        finally:
            server.close()
            for connection in worker.connections:
                connection.make_room()
            for caller in callers:
                caller.writer.transport.abort()
            await asyncio.sleep(0.05)  # until all are closed

    return lambda main: asyncio.run(whole(main))


def give(worker: Worker) -> None:
    worker.turns.release(worker.route_load.pace, 2)


def test_requests_begin_in_their_order_when_their_turns_come(run: Callable[..., Any]) -> None:
    async def main(worker: Any, connect: Any) -> None:
        callers = [await connect(request(f"r{number}")) for number in range(4)]
        assert worker.begun == []
        worker.route_load.pace.observe(0.001, 2)
        assert worker.admission.wait() == pytest.approx(0.004)
        give(worker)
        assert [(await caller.answer())[1] for caller in callers] == ["r0", "r1", "r2", "r3"]
        assert worker.begun == ["r0", "r1", "r2", "r3"]
        assert worker.admission.wait() == 0

    run(main)


def test_request_whose_caller_leaves_is_never_begun_and_is_counted_as_none(
    run: Callable[..., Any],
) -> None:
    async def main(worker: Worker, connect: Connect) -> None:
        leaver, other = await connect(request("gone")), await connect(request("stays"))
        leaver.writer.close()
        await asyncio.sleep(0.05)
        assert worker.left() == 1
        give(worker)
        assert (await other.answer())[1] == "stays"
        assert worker.begun == ["stays"]
        assert worker.admission.wait() == 0

    run(main)


@pytest.mark.parametrize("more", [request("second"), request("second")[:30]])
def test_a_request_that_another_follows_begins_at_once_and_both_are_answered(
    run: Callable[..., Any], more: bytes
) -> None:
    async def main(worker: Any, connect: Any) -> None:
        caller = await connect(request("first"))
        caller.writer.write(more)
        await asyncio.sleep(0.05)
        assert worker.begun == ["first"]
        give(worker)
        caller.writer.write(request("second")[len(more) :])
        assert [(await caller.answer())[1] for _ in range(2)] == ["first", "second"]
        first, second = worker.expected
        assert first is not None
        assert second is None  # it did not wait, and is asked again

    run(main)


def test_a_stop_answers_who_waits_and_says_that_the_connection_ends(
    run: Callable[..., Any],
) -> None:
    async def main(worker: Worker, connect: Connect) -> None:
        caller = await connect(request("last"))
        worker.connections[-1].shutdown()
        give(worker)
        head, body = await caller.answer()
        assert (body, b"connection: close" in head) == ("last", True)
        assert await caller.reader.read() == b""

    run(main)


def test_a_request_with_a_deadline_begins_at_once(run: Callable[..., Any]) -> None:
    async def main(worker: Worker, connect: Connect) -> None:
        await connect(request("urgent", b"x-timeout-ms: 20\r\n"))
        assert worker.begun == ["urgent"]
        give(worker)

    run(main)


def test_a_fault_in_one_request_takes_nobody_elses_turn(run: Callable[..., Any]) -> None:
    async def main(worker: Any, connect: Any) -> None:
        faults = []
        asyncio.get_running_loop().set_exception_handler(lambda _, found: faults.append(found))
        faulty, other = await connect(request("faulty")), await connect(request("r2"))

        def fault(*_: Any) -> None:
            raise RuntimeError("on purpose")

        worker.connections[0].parse = fault
        give(worker)
        assert (await other.answer())[1] == "r2"
        assert await faulty.reader.read() == b""
        assert [str(found["exception"]) for found in faults] == ["on purpose"]
        assert worker.admission.wait() == 0

    run(main)


def test_a_request_that_takes_no_turn_keeps_none(run: Callable[..., Any]) -> None:
    async def main(worker: Any, connect: Any) -> None:
        callers = [await connect(request(name)) for name in ("no-turn-1", "no-turn-2", "r3")]
        give(worker)
        assert [(await one.answer())[1] for one in callers] == ["no-turn-1", "no-turn-2", "r3"]
        assert worker.admission.wait() == 0
        await worker.turns.take()  # it is free

    run(main)
