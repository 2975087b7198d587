"""A TCP proxy on 127.0.0.1 that a test tells how to misbehave, in a thread of its own."""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Between clients and the server on `target`, a port of 127.0.0.1.

    `mode`: "pass", "black hole" (takes everything, passes nothing on), "reset" (RST to who is there
    and who comes), "trickle" (passes a byte a second back) or "slow" (a few megabytes). A changed
    `target` is for those who come afterwards. `attempts`: when each connection was made, monotonic
    seconds. With `tls` its clients speak TLS.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self._tls = tls
        self.mode = "pass"
        self.attempts: list[float] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def set(self, mode: str) -> None:
        """Misbehave so from now on, to open connections as well."""
        self.mode = mode
        if mode == "reset":
            self.reset()

    def reset(self) -> None:
        """RST to all who are there."""
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result(10)

    def most_attempts_in_a_second(self, since: float) -> int:
        """The most connections that were made within any one second after `since`."""
        times = sorted(at for at in self.attempts if at >= since)
        return max((sum(at <= t < at + 1 for t in times) for at in times), default=0)

    async def _reset(self) -> None:
        for writer in list(self._open):
            _abort(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts.append(time.monotonic())
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            if self.mode == "reset":
                _abort(writer)
                return
            try:
                there = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                if self.mode == "pass":
                    _abort(writer)
                    return
                there = None  # nobody behind the black hole
            if there is None:
                await reader.read()
                return
            self._open.add(there[1])
            await asyncio.gather(
                self._pump(reader, there[1]), self._pump(there[0], writer, back=True)
            )
            self._open.discard(there[1])
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool = False
    ) -> None:
        # what a black hole swallowed is gone: nobody will send it again on this connection
        try:
            while data := await reader.read(1 << 16):
                while back and self.mode == "trickle" and data:
                    writer.write(data[:1])
                    data = data[1:]
                    await asyncio.sleep(1)
                if self.mode != "black hole":
                    writer.write(data)
                    await writer.drain()
                if back and self.mode == "slow":
                    await asyncio.sleep(0.01)
        finally:
            writer.close()

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Listen on `port` while the block runs."""
        thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(server), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
