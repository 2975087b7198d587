"""A transport that writes once a turn of the loop, and nothing after an end that can be read.

uvicorn writes an answer's head and body by themselves: for a small answer the second system call,
and waking the caller twice, costs more than scoring it. And a socket that is closed while its
caller still sends is reset, so that the answer written last is often lost.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

LINGER_SECONDS = 1.0  # for a caller to read the last answer and stop sending


class Gathering:
    """A transport but for `write` and `close`; what it does not have is the real one's.

    `sending`: whether the caller is within a request, so that more of it may come.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        sending: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._sending = sending
        self._waiting: list[bytes] = []
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def waits(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._waiting)

    def is_closing(self) -> bool:
        """Whether no answer can be written any more."""
        return self._ended or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write at the end of this turn of the loop."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def write_now(self, data: bytes) -> None:
        """Write at once, after what waits."""
        if self._waiting:
            self._waiting.append(data)
            self._flush()
        elif not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """End when all is written; while a request is still coming, as soon as its caller has read
        that nothing follows, or after LINGER_SECONDS.
        """
        self._flush()
        if self.is_closing():
            return
        if self._sending() and self._transport.can_write_eof():
            self._ended = True
            self._transport.write_eof()
            self._loop.call_later(LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            if not self.is_closing():  # else the caller has left
                self._transport.write(data)


class PipelinedFlow(FlowControl):
    """uvicorn's flow control, which reads no further while whole requests wait for their turn: each
    answer would else let in another packet of them.
    """

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._requests = waiting

    def resume_reading(self) -> None:
        """See uvicorn."""
        if not self._requests:
            super().resume_reading()
