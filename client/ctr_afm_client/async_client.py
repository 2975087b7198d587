"""The client for asyncio; `Client` is the same for everybody else."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypedDict

import httpx2

from ctr_afm_client.answers import Explanations, Prediction
from ctr_afm_client.attempts import Attempts
from ctr_afm_client.budget import RetryBudget
from ctr_afm_client.errors import ClientError, NoAnswer
from ctr_afm_client.transports import limits, open_transport

Row = Mapping[str, Any]
Fallback = float | Callable[[Row], float]


class Options(TypedDict, total=False):
    """What a client is made with beside its address; see `AsyncClient`."""

    timeout_ms: float
    api_key: str | None
    fallback: Fallback | None
    retry_share: float


class AsyncClient:
    """Calls one model. Make one, and keep it: it keeps its connections.

    Args:
        address: `http://HOST:PORT`, `unix:/PATH`, or the directory of a bundle, which is then
            scored in this process.
        timeout_ms: of a call that names none; the service is sent what is left of it.
        api_key: where the service asks for one.
        fallback: the score of a row that has none in time, or a function of the row which gives
            it; None: such a call raises.
        retry_share: how many of the calls may be asked again, at most.

    Raises:
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
        self._timeout_ms = timeout_ms
        self._fallback = fallback

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        return self._attempts.sent

    @property
    def retries(self) -> int:
        """Those among them that asked again."""
        return self._attempts.retries

    async def predict(
        self, rows: Sequence[Row], context: Row | None = None, *, timeout_ms: float | None = None
    ) -> Prediction:
        """A score for each of N rows: candidates of one `context`, or complete by themselves.

        With a fallback one row that cannot be scored does not fail the others, and no answer in
        time is an answer of fallbacks.

        Raises:
            ClientError: see `errors`; with a fallback only Refused.
        """
        body = {**_rows(rows, context), "strict": self._fallback is None}
        try:
            found = await self._call("POST", "/predict", body, timeout_ms)
        except NoAnswer as error:
            if self._fallback is None:
                raise
            scores = [self._instead(row, context) for row in rows]
            return Prediction(scores, [True] * len(rows), fault=error)
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

    async def explain(
        self,
        rows: Sequence[Row],
        context: Row | None = None,
        *,
        top: int | None = 20,
        timeout_ms: float | None = None,
    ) -> Explanations:
        """Each row's score taken apart, with its `top` largest pairs; None for all of them.

        Raises:
            ClientError: see `errors`.
        """
        body = {**_rows(rows, context), "top": top}
        found = await self._call("POST", "/explain", body, timeout_ms)
        return Explanations(
            found["explanations"], found["model"], found["version"], found["degraded"]
        )

    async def what_if(
        self,
        rows: Sequence[Row],
        context: Row | None = None,
        *,
        row: int = 0,
        field: str | None = None,
        timeout_ms: float | None = None,
    ) -> dict[str, Any]:
        """What one row would be scored after each single change, as /whatif answers it.

        Raises:
            ClientError: see `errors`.
        """
        body = {**_rows(rows, context), "row": row, "field": field}
        found: dict[str, Any] = await self._call("POST", "/whatif", body, timeout_ms)
        return found

    async def model(self, *, timeout_ms: float | None = None) -> dict[str, Any]:
        """The live version, as /model answers it: its schema and its metrics.

        Raises:
            ClientError: see `errors`.
        """
        found: dict[str, Any] = await self._call("GET", "/model", None, timeout_ms)
        return found

    async def is_ready(self, *, timeout_ms: float | None = None) -> bool:
        """Whether the service can be reached, and has a live version."""
        try:
            await self._call("GET", "/readyz", None, timeout_ms)
        except ClientError:
            return False
        return True

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout_ms: float | None
    ) -> Any:
        milliseconds = self._timeout_ms if timeout_ms is None else timeout_ms
        return await self._attempts.call(method, path, body, milliseconds)

    def _instead(self, row: Row, context: Row | None) -> float | None:
        if callable(self._fallback):
            return self._fallback({**(context or {}), **row})
        return self._fallback


def _rows(rows: Sequence[Row], context: Row | None) -> dict[str, Any]:
    if isinstance(rows, Mapping | str):
        raise TypeError(f"rows must be a list of dictionaries, not one {type(rows).__name__}")
    if context is None:
        return {"instances": list(rows)}
    return {"context": context, "candidates": list(rows)}
