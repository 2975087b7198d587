"""The client for asyncio; `Client` is the same for everybody else."""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Self, TypedDict

import httpx2

from ctr_afm_client.answers import Explanations, Prediction
from ctr_afm_client.attempts import Attempts
from ctr_afm_client.bodies import Row, body_of, seconds_of
from ctr_afm_client.budget import RetryBudget
from ctr_afm_client.errors import ClientError, NoAnswer
from ctr_afm_client.transports import limits, open_transport

Fallback = float | Callable[[Row], float]


class Options(TypedDict, total=False):
    """What a client is made with beside its address; see `AsyncClient`."""

    timeout_ms: float
    api_key: str | None
    fallback: Fallback | None
    retry_share: float


class AsyncClient:
    """Calls one model. Make one, and keep it: it keeps its connections. The deadline of a call
    counts from the moment that it is called, not from that at which it is awaited.

    Args:
        address: `http://HOST:PORT`, `unix:/PATH`, or the directory of a bundle, which is then
            scored in this process.
        timeout_ms: of a call that names none; the service is sent what is left of it.
        api_key: where the service asks for one.
        fallback: the score of a row that has none in time, or a function of the row which gives
            it; None: such a call raises.
        retry_share: how many of the calls may be asked again, at most.

    Raises:
        InvalidCall: a deadline that is no number of milliseconds.
        ValueError: no such address.
        ImportError: a bundle, and the service is not installed.
    """

    def __init__(
        self,
        address: str | Path,
        *,
        timeout_ms: float = 1000.0,
        api_key: str | None = None,
        fallback: Fallback | None = None,
        retry_share: float = 0.1,
    ) -> None:
        self._timeout_seconds = seconds_of(timeout_ms)
        base_url, transport = open_transport(address)
        headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._http = httpx2.AsyncClient(
            base_url=base_url,
            transport=transport,
            headers=headers,
            limits=limits(),
            timeout=None,  # each call's deadline holds for all of it
            trust_env=False,  # no proxy between an ad server and its model
        )
        self._attempts = Attempts(self._http, RetryBudget(retry_share), str(address))
        self._fallback = fallback

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        return self._attempts.sent

    @property
    def retries(self) -> int:
        """Those among them that asked again."""
        return self._attempts.retries

    def deadline(self, timeout_ms: float | None = None) -> float:
        """When a call that begins now is over, by `perf_counter`.

        Raises:
            InvalidCall: no number of milliseconds above 0.
        """
        seconds = self._timeout_seconds if timeout_ms is None else seconds_of(timeout_ms)
        return perf_counter() + seconds

    def predict(
        self, rows: Sequence[Row], context: Row | None = None, *, timeout_ms: float | None = None
    ) -> Coroutine[Any, Any, Prediction]:
        """A score for each of N rows: candidates of one `context`, or complete by themselves.

        With a fallback one row that cannot be scored does not fail the others, and no answer in
        time is an answer of fallbacks.

        Raises:
            ClientError: see `errors`; with a fallback only Refused and InvalidCall.
        """
        deadline = self.deadline(timeout_ms)
        body = body_of(rows, context, strict=self._fallback is None)
        return self._predict(rows, context, body, deadline)

    def explain(
        self,
        rows: Sequence[Row],
        context: Row | None = None,
        *,
        top: int | None = 20,
        timeout_ms: float | None = None,
    ) -> Coroutine[Any, Any, Explanations]:
        """Each of N scores taken apart; `top`: how many pairs are listed a row, None for all.

        Raises:
            ClientError: see `errors`.
        """
        deadline = self.deadline(timeout_ms)
        return self._explain(body_of(rows, context, top=top), deadline)

    def what_if(
        self,
        rows: Sequence[Row],
        context: Row | None = None,
        *,
        row: int = 0,
        field: str | None = None,
        timeout_ms: float | None = None,
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """What one row would be scored after each single change, as /whatif answers it.

        Raises:
            ClientError: see `errors`.
        """
        deadline = self.deadline(timeout_ms)
        body = body_of(rows, context, row=row, field=field)
        return self._attempts.call("/whatif", body, deadline)

    def model(self, *, timeout_ms: float | None = None) -> Coroutine[Any, Any, dict[str, Any]]:
        """The live version, as /model answers it: its schema and its metrics.

        Raises:
            ClientError: see `errors`.
        """
        return self._attempts.call("/model", None, self.deadline(timeout_ms))

    def is_ready(self, *, timeout_ms: float | None = None) -> Coroutine[Any, Any, bool]:
        """Whether the service can be reached, and has a live version.

        Raises:
            InvalidCall: a deadline that is no number of milliseconds.
        """
        return self._is_ready(self.deadline(timeout_ms))

    def without_answer(
        self, rows: Sequence[Row], context: Row | None, fault: NoAnswer
    ) -> Prediction:
        """The fallback of each row.

        Raises:
            NoAnswer: `fault`, where there is no fallback.
        """
        if self._fallback is None:
            raise fault
        scores = [self._instead(row, context) for row in rows]
        return Prediction(scores, [True] * len(rows), fault=fault)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _predict(
        self, rows: Sequence[Row], context: Row | None, body: bytes, deadline: float
    ) -> Prediction:
        try:
            found = await self._attempts.call("/predict", body, deadline)
        except NoAnswer as error:
            return self.without_answer(rows, context, error)
        has_probabilities = found["probabilities"] is not None
        given = found["probabilities"] if has_probabilities else found["scores"]
        missing = [score is None for score in given]
        filled = [
            self._instead(rows[place], context) if lacks else given[place]
            for place, lacks in enumerate(missing)
        ]
        return Prediction(
            filled,
            missing,
            has_probabilities,
            found["model"],
            found["version"],
            found["degraded"],
            found.get("errors", ()),
        )

    async def _explain(self, body: bytes, deadline: float) -> Explanations:
        found = await self._attempts.call("/explain", body, deadline)
        return Explanations(
            found["explanations"], found["model"], found["version"], found["degraded"]
        )

    async def _is_ready(self, deadline: float) -> bool:
        try:
            await self._attempts.call("/readyz", None, deadline)
        except ClientError:
            return False
        return True

    def _instead(self, row: Row, context: Row | None) -> float | None:
        if callable(self._fallback):
            return self._fallback({**(context or {}), **row})
        return self._fallback
