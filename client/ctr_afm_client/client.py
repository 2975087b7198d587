"""The client for code without asyncio: an `AsyncClient` on an event loop in a thread of its own.

So one source has both, and any thread may call. A caller waits until its deadline, whatever that
thread is busy with.
"""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Self, TypeVar, Unpack

from ctr_afm_client.answers import Explanations, Prediction
from ctr_afm_client.async_client import AsyncClient, Options
from ctr_afm_client.bodies import Row
from ctr_afm_client.errors import LATE, DeadlinePassed

Found = TypeVar("Found")


class Client:
    """Calls one model; see `AsyncClient`. Any number of threads may share it."""

    def __init__(self, address: str | Path, **options: Unpack[Options]) -> None:
        self._client = AsyncClient(address, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="ctr-afm-client", daemon=True
        )
        self._thread.start()

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        return self._client.sent

    @property
    def retries(self) -> int:
        """Those among them that asked again."""
        return self._client.retries

    def predict(
        self, rows: Sequence[Row], context: Row | None = None, *, timeout_ms: float | None = None
    ) -> Prediction:
        """See `AsyncClient`."""
        until = self._client.deadline(timeout_ms)
        call = self._client.predict(rows, context, timeout_ms=timeout_ms)
        try:
            return self._run(call, until)
        except DeadlinePassed as error:
            return self._client.without_answer(rows, context, error)

    def explain(
        self,
        rows: Sequence[Row],
        context: Row | None = None,
        *,
        top: int | None = 20,
        timeout_ms: float | None = None,
    ) -> Explanations:
        """See `AsyncClient`."""
        until = self._client.deadline(timeout_ms)
        call = self._client.explain(rows, context, top=top, timeout_ms=timeout_ms)
        return self._run(call, until)

    def what_if(
        self,
        rows: Sequence[Row],
        context: Row | None = None,
        *,
        row: int = 0,
        field: str | None = None,
        timeout_ms: float | None = None,
    ) -> dict[str, Any]:
        """See `AsyncClient`."""
        until = self._client.deadline(timeout_ms)
        call = self._client.what_if(rows, context, row=row, field=field, timeout_ms=timeout_ms)
        return self._run(call, until)

    def model(self, *, timeout_ms: float | None = None) -> dict[str, Any]:
        """See `AsyncClient`."""
        until = self._client.deadline(timeout_ms)
        return self._run(self._client.model(timeout_ms=timeout_ms), until)

    def is_ready(self, *, timeout_ms: float | None = None) -> bool:
        """See `AsyncClient`."""
        until = self._client.deadline(timeout_ms)
        try:
            return self._run(self._client.is_ready(timeout_ms=timeout_ms), until)
        except DeadlinePassed:
            return False

    def close(self) -> None:
        """Close the connections, and end the thread; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: Coroutine[Any, Any, Found], until: float | None = None) -> Found:
        if self._loop.is_closed():
            call.close()
            raise RuntimeError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return future.result(None if until is None else max(until - perf_counter(), 0.0))
        except TimeoutError:
            future.cancel()
            raise DeadlinePassed(LATE) from None
