"""One process that serves: it is given settings and bound sockets, and ends in order."""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType

import structlog
import uvicorn

from service.http.listening import end_listening, shown
from service.http.tls import tls_context
from service.http.wire.connection import Connection
from service.http.wire.drain import Drain
from service.observe.logs import configure_logging
from service.observe.metrics import MULTIPROCESS
from service.runtime import open_files_limit, switch_threads_often
from service.settings import Settings

BACKLOG = 2048  # connections that wait to be accepted
STARTED = (
    "started-"  # a file's name beside the workers' metrics begins with it; the process id follows
)
SHUTDOWN_SECONDS = 10  # for requests in flight, when no more are accepted
BEAT_SECONDS = 0.5  # between two signs of life
HURRY = signal.SIGUSR1  # as SIGINT, but a second one is no more than the first
ALL_END = signal.SIGUSR2  # as SIGTERM, and every worker gets it
CANNOT_START = 3  # a worker's exit status, when another one would end like it

log = structlog.get_logger()


class Server(uvicorn.Server):
    """uvicorn's server, which loses no connection when it stops.

    SIGTERM and ALL_END: not ready, waits for the drain's time, ends. SIGHUP, where other workers
    stay: takes no more connections, and ends when those that it has are gone, or at the end of that
    time. SIGINT ends it at once, but for what it has been asked; a second one leaves that as well.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, *, single: bool) -> None:
        super().__init__(config)
        self._drain = drain
        self._single = single
        self._sockets: list[socket.socket] = []
        self._said = False
        self._all_end = single  # and not this worker alone: the others share its listening sockets

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen once the app is ready to answer."""
        self._sockets = sockets or []
        try:
            await super().startup(sockets)
        except OSError as error:  # another process bound it as well and listened first
            log.error("cannot listen", reason=error.strerror)
            await self.lifespan.shutdown()
            sys.exit(1 if self._single else CANNOT_START)
        if self.started:
            log.info("listening", on=shown(self._sockets, "https" if self.config.ssl else "http"))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take uvicorn's signals, and two more."""
        with super().capture_signals():
            more = [HURRY, ALL_END]
            if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup wants it
                more.append(signal.SIGHUP)
            before = {number: signal.signal(number, self.handle_exit) for number in more}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop, as the signal wants it."""
        if sig == HURRY or (sig == ALL_END and not self.started):
            self.should_exit = True
        elif sig == signal.SIGINT or not self.started:
            super().handle_exit(sig, frame)
        else:
            self._all_end = self._all_end or sig == ALL_END
            self._drain.begin(unready=self._single or sig != signal.SIGHUP)

    async def on_tick(self, counter: int) -> bool:
        """Return whether the worker ends; called ten times a second."""
        drain = self._drain
        if drain.begun and not self._said:
            self._said = True
            log.info("stopping", drain_seconds=drain.seconds, ready=not drain.unready)
            if not drain.unready:
                await self._stop_listening()
        if await super().on_tick(counter) or drain.is_over():
            return True
        return drain.begun and not self._sockets and not self.server_state.connections

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that were sent, and end."""
        await self._stop_listening()
        await super().shutdown(sockets)

    async def _stop_listening(self) -> None:
        held = [one.dup() for one in self._sockets]
        for server in self.servers:
            server.close()
        for one in self._sockets:
            one.close()
        self._sockets = []
        accepted = end_listening(held, shared=not self._single, all_end=self._all_end)
        loop = asyncio.get_running_loop()
        for one in accepted:
            with suppress(OSError):  # its caller has left
                await loop.connect_accepted_socket(self._connection, one, ssl=self.config.ssl)

    def _connection(self) -> asyncio.Protocol:
        return Connection(self.config, self.server_state, self.lifespan.state)


def run_worker(sockets: list[socket.socket], parent: Pipe | None = None) -> None:
    """Serve on bound sockets until a signal ends it, by the settings in the environment; to
    `parent` goes now and then whether it listens yet.
    """
    settings = Settings.load()
    configure_logging(settings)
    server: Server | None = None
    if parent is not None:
        _stay_with(parent, lambda: server is not None and server.started)
    switch_threads_often()
    if settings.redis is None:
        raise RuntimeError("AFM_REDIS_URL is not set; afm-serve run sets it")
    from service.http.app import create_app  # the workers' parent needs none of what it imports

    app = create_app(settings, settings.redis, replaces=_replaces_dead_worker(settings.workers))
    server = Server(_config(app, settings), app.state.drain, single=parent is None)
    server.run(sockets)


def _config(app: object, settings: Settings) -> uvicorn.Config:
    tls = tls_context(settings.tls_cert, settings.tls_key)
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # FastAPI's own types say that it is one
        # asyncio's own loop holds back every second answer of a connection by 40 ms
        loop="uvloop",
        http=Connection,
        proxy_headers=False,  # no part of the service reads the caller's address
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # all that wait are accepted in one round, before any can make room for another
        backlog=min(BACKLOG, open_files_limit() // 4),
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )


def _replaces_dead_worker(workers: int) -> bool:
    # whether as many have started before, so that this one stands in for one that died; a single
    # worker is its own parent and has no successor
    folder = os.environ.get(MULTIPROCESS)
    if folder is None:
        return False
    Path(folder, f"{STARTED}{os.getpid()}").touch()
    return len(list(Path(folder).glob(f"{STARTED}*"))) > workers


def _stay_with(parent: Pipe, started: Callable[[], bool]) -> None:
    # a worker whose parent was killed would keep the port, and its embedded Redis would be gone
    process = multiprocessing.parent_process()
    if process is None:
        return

    def beat() -> None:
        while not wait([process.sentinel], BEAT_SECONDS):
            with suppress(OSError):
                parent.send(started())
        os.kill(os.getpid(), HURRY)

    threading.Thread(target=beat, name="parent", daemon=True).start()
