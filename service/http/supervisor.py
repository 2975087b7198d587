"""The parent of several workers: starts them, replaces those that die, and ends with them."""

import multiprocessing
import os
import signal
import socket
import time
from contextlib import suppress

import structlog

from service.http.worker import ALL_END, CANNOT_START, HURRY, run_worker

SPAWN = multiprocessing.get_context("spawn")
TICK_SECONDS = 0.1
SILENT_SECONDS = 15.0  # a worker without a sign of life, as while it begins, is replaced then
START_SECONDS = 120.0  # for a new worker to listen, before it may take an older one's place

log = structlog.get_logger()


class Worker:
    """One worker, as its parent sees it."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._pipe, worker_end = SPAWN.Pipe(duplex=False)
        self._process = SPAWN.Process(target=run_worker, args=(sockets, worker_end))
        self._process.start()
        worker_end.close()
        self.listens = False
        self._began = self._heard = time.monotonic()

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while the process lives."""
        return self._process.exitcode

    def is_stuck(self) -> bool:
        """Whether the process lives, and has given no sign of life for long."""
        with suppress(EOFError, OSError):
            while self._pipe.poll():
                self.listens = self._pipe.recv()
                self._heard = time.monotonic()
        return self.status is None and time.monotonic() - self._heard > SILENT_SECONDS

    def is_late(self) -> bool:
        """Whether the process should listen by now, and does not."""
        return not self.listens and time.monotonic() - self._began > START_SECONDS

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, if it still lives."""
        if self.status is None and self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self) -> None:
        """Kill the process, if it lives, and forget it."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


class Supervisor:
    """Runs `number` workers that share bound sockets.

    SIGTERM and SIGINT end them, SIGHUP replaces them one after the other: the successor listens
    before a worker takes no more connections.
    """

    def __init__(self, sockets: list[socket.socket], number: int) -> None:
        self._sockets = sockets
        self._number = number
        self._signals: list[int] = []
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []
        self._to_replace: list[Worker] = []
        self._next: Worker | None = None
        self._failed = False

    def run(self) -> None:
        """Serve until a signal ends it.

        Raises:
            SystemExit: a worker cannot start, and another one could not either.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: self._signals.append(number))
        self._workers = [Worker(self._sockets) for _ in range(self._number)]
        try:
            while not self._failed and not self._asked_to_stop():
                self._replace_the_dead()
                self._replace_the_old()
                time.sleep(TICK_SECONDS)
            self._stop()
        finally:
            for worker in self._all():
                worker.end()
        if self._failed:
            raise SystemExit(1)

    def _all(self) -> list[Worker]:
        return [*self._workers, *self._leaving, *([self._next] if self._next else [])]

    def _asked_to_stop(self) -> bool:
        if signal.SIGTERM in self._signals or signal.SIGINT in self._signals:
            return True
        if signal.SIGHUP in self._signals:
            self._signals.remove(signal.SIGHUP)  # and no other one that comes meanwhile
            log.info("every worker is replaced, one after the other")
            self._to_replace = list(self._workers)
        return False

    def _stop(self) -> None:
        # else the kernel still accepts connections, which no worker answers
        for one in self._sockets:
            one.close()
        for worker in self._all():
            worker.send_signal(ALL_END)
        while any(worker.status is None for worker in self._all()):
            if signal.SIGINT in self._signals or self._failed:
                self._signals.clear()
                for worker in self._all():
                    worker.send_signal(HURRY)
            time.sleep(TICK_SECONDS)

    def _replace_the_dead(self) -> None:
        for place, worker in enumerate(self._workers):
            stuck = worker.is_stuck()
            if worker.status is None and not stuck:
                continue
            log.error("a worker is stuck" if stuck else "a worker died", worker=worker.pid)
            worker.end()
            if worker.status == CANNOT_START:
                self._failed = True
                return
            self._workers[place] = Worker(self._sockets)
            if worker in self._to_replace:
                self._to_replace.remove(worker)

    def _replace_the_old(self) -> None:
        for worker in [one for one in self._leaving if one.status is not None]:
            worker.end()
            self._leaving.remove(worker)
        if self._leaving or not self._to_replace:
            return
        if self._next is None:
            self._next = Worker(self._sockets)
            return
        new = self._next
        if new.is_stuck() or new.status is not None or new.is_late():
            log.error("a new worker does not start: the others stay", worker=new.pid)
            new.end()
            self._next, self._to_replace = None, []
        elif new.listens:
            old = self._to_replace.pop(0)
            self._workers[self._workers.index(old)] = new
            self._next = None
            old.send_signal(signal.SIGHUP)
            self._leaving.append(old)
