"""The order in which a worker stops: not ready, a wait, then uvicorn's own end.

A balancer needs the wait to notice: until it is over, whatever comes is answered, each answer with
`connection: close`, so that callers' pools leave by themselves.
"""

import asyncio
import signal
import threading

import structlog

log = structlog.get_logger()


class Drain:
    """Whether this worker is about to stop; `seconds`: from SIGTERM to the last request taken."""

    def __init__(self, seconds: float) -> None:
        self.begun = False
        self._seconds = seconds

    def take_over(self) -> None:
        """Put the wait between SIGTERM and what uvicorn does at once; a second SIGTERM, as a
        supervisor and the parent may both send one, does not shorten it, SIGINT does.
        """
        if threading.current_thread() is not threading.main_thread():
            return  # uvicorn takes no signals there either
        loop = asyncio.get_running_loop()
        stop = signal.getsignal(signal.SIGTERM)
        if not callable(stop):
            return

        def begin() -> None:
            log.info("stopping", drain_seconds=self._seconds)
            loop.call_later(self._seconds, stop, signal.SIGTERM, None)

        def asked(number: int, frame: object) -> None:  # noqa: ARG001 - a handler's two arguments
            if not self.begun:
                self.begun = True
                loop.call_soon_threadsafe(begin)

        signal.signal(signal.SIGTERM, asked)
