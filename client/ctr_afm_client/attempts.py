"""One call: asked, and asked again as long as its deadline and the budget allow."""

import asyncio
import random
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import httpx2

from ctr_afm_client.answers import Reply
from ctr_afm_client.budget import RetryBudget
from ctr_afm_client.errors import (
    LATE,
    ClientError,
    ConnectionFailed,
    DeadlinePassed,
    NoAnswer,
    Refused,
    ServerFailed,
    Unavailable,
)

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.005, 1.0
AGAIN = (429, 502, 503)


class Attempts:
    """Sends the calls of one client. `sent` and `retries` count requests and those among them that
    were not the first of their call. `address` is what an error names.
    """

    def __init__(self, http: httpx2.AsyncClient, budget: RetryBudget, address: str) -> None:
        self._http = http
        self._address = address
        self._budget = budget
        self.sent = 0
        self.retries = 0

    async def call(self, path: str, body: bytes | None, deadline: float) -> Any:
        """The JSON of the answer to a GET, or to a POST of a `body`, by a time of `perf_counter`.

        Raises:
            ClientError: see `errors`; none is raised later than the deadline but for the time that
                the process itself loses.
        """
        self._budget.earn()
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                return await self._once(path, body, deadline)
            except (Unavailable, ConnectionFailed) as error:
                asked = error.wait if isinstance(error, Unavailable) else None
                # a half of it by chance, so that callers which failed together part
                pause = wait * random.uniform(0.5, 1.0) if asked is None else asked  # noqa: S311  no secret
                if perf_counter() + pause >= deadline or not self._budget.spend():
                    raise
                self.retries += 1
                await asyncio.sleep(pause)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    async def _once(self, path: str, body: bytes | None, deadline: float) -> Any:
        left = deadline - perf_counter()
        if left <= 0:
            raise DeadlinePassed("the deadline was over before the request was sent")
        method, headers = "GET", {}
        if body is not None:
            method, headers = "POST", {"content-type": "application/json"}
            headers["x-timeout-ms"] = f"{max(1000 * left, 0.001):.3f}"
        self.sent += 1
        try:
            async with asyncio.timeout(left):
                answer = await self._http.request(method, path, content=body, headers=headers)
        except TimeoutError:
            raise DeadlinePassed(LATE) from None
        except httpx2.TransportError as error:
            fault = f"{type(error).__name__}: {error}"
            raise ConnectionFailed(f"{self._address}: {fault}") from error
        return _read(_reply(answer))


def _reply(answer: httpx2.Response) -> Reply:
    try:
        body = answer.json()
    except ValueError:
        body = None
    return Reply(answer.status_code, body, dict(answer.headers))


def _read(reply: Reply) -> Any:
    if reply.status == 200 and reply.body is not None:
        return reply.body
    raise _error(reply)


def _error(reply: Reply) -> ClientError:
    said = reply.body if isinstance(reply.body, dict) else {}
    detail = str(said.get("detail", f"status {reply.status}"))
    code = said.get("code")
    facts: tuple[str, int, str | None] = (detail, reply.status, code)
    if reply.status in AGAIN:
        return Unavailable(*facts, _wait(reply.headers))
    if reply.status == 504:
        return DeadlinePassed(*facts)
    if 400 <= reply.status < 500 and said:
        return Refused(*facts, said.get("row"), said.get("field"))
    return _other(*facts)


def _other(detail: str, status: int, code: str | None) -> NoAnswer:
    return ServerFailed(f"not an answer of the service: {detail}", status, code)


def _wait(headers: Mapping[str, str]) -> float | None:
    # seconds; `retry-after` may be a date, which no server of this kind sends
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        text = headers.get(name, "")
        if text.isdigit() and len(text) < 10:
            return int(text) / unit
    return None
