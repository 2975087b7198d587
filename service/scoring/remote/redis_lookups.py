"""Asks Redis for values of large fields while requests wait: one thread, and for each model one
connection and one round trip for all that wait at that moment.

A request that goes away leaves nothing behind: the thread reads each reply to its end, or drops the
connection, so that no reply can reach another request.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from service.errors import StoreUnavailable
from service.store.redis_client import RedisLink

PAUSE_SECONDS = 0.7  # after a failure nobody waits for Redis, nor is it asked

Wanted = Mapping[str, Collection[str]]
Found = dict[str, dict[str, int | None]]


class _Job(NamedTuple):
    model: str
    wanted: Wanted
    future: "asyncio.Future[Found]"


class Lookups:
    """Looks values up in hashes of Redis. `most_seconds`: how long a request waits for them;
    `redis_timeout`, in seconds: when a round trip is given up.
    """

    def __init__(self, address: str | Path, most_seconds: float, redis_timeout: float) -> None:
        self._most_seconds = most_seconds
        self._address = address
        self._redis_timeout = redis_timeout
        self._links: dict[str, RedisLink] = {}  # by model: a cluster has each on a node of its own
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._asked_at: float | None = None  # of the round trip under way
        self._again_at = 0.0
        self._thread: threading.Thread | None = None

    async def find(self, model: str, wanted: Wanted, seconds: float | None) -> Found:
        """The numbers that hashes of a model have for some of their keys, None where they have
        none. `seconds`: what is left to the request; half of it is kept for its answer.

        Raises:
            StoreUnavailable: not in time, or Redis did not answer others just now.
        """
        now = time.monotonic()
        asked_at = self._asked_at
        if now < self._again_at or (asked_at is not None and now - asked_at > self._most_seconds):
            raise StoreUnavailable("Redis does not answer; it is not waited for")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lookups", daemon=True)
            self._thread.start()
        most = self._most_seconds if seconds is None else min(self._most_seconds, seconds / 2)
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(model, wanted, future))
        try:
            async with asyncio.timeout(most):
                return await future
        except TimeoutError as error:
            raise StoreUnavailable("Redis did not answer in time") from error

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout=5)
        self._leave()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            while not self._jobs.empty():
                other = self._jobs.get()
                if other is None:
                    return
                jobs.append(other)
            waiting = [job for job in jobs if not job.future.done()]
            if waiting:
                self._answer(waiting)

    def _answer(self, jobs: list[_Job]) -> None:
        self._asked_at = time.monotonic()
        try:
            found: Found | None = self._ask(jobs)
        except Exception:  # a thread that ends would answer nobody ever again
            found = None
            self._leave()  # its password may have been changed
            self._again_at = time.monotonic() + PAUSE_SECONDS
        self._asked_at = None
        for job in jobs:
            try:
                job.future.get_loop().call_soon_threadsafe(_settle, job, found)
            except RuntimeError:  # the loop is closed, and with it whoever waited
                continue

    def _leave(self) -> None:
        for link in self._links.values():
            link.close()

    def _ask(self, jobs: list[_Job]) -> Found:
        merged: dict[str, dict[str, set[str]]] = {}
        for job in jobs:
            of_model = merged.setdefault(job.model, {})
            for key, values in job.wanted.items():
                of_model.setdefault(key, set()).update(values)
        found: Found = {}
        for model, of_model in merged.items():
            found |= self._found(model, {key: sorted(values) for key, values in of_model.items()})
        return found

    def _found(self, model: str, asked: Mapping[str, Sequence[str]]) -> Found:
        if model not in self._links:
            self._links[model] = RedisLink(self._address, model, self._redis_timeout)
        pipe = self._links[model].client().pipeline(transaction=False)
        for key, values in asked.items():
            pipe.hmget(key, values)
        replies: list[list[Any]] = pipe.execute()
        return {
            key: {
                value: None if number is None else int(number)
                for value, number in zip(values, numbers, strict=True)
            }
            for (key, values), numbers in zip(asked.items(), replies, strict=True)
        }


def _settle(job: _Job, found: Found | None) -> None:
    if job.future.done():
        return
    if found is None:
        job.future.set_exception(StoreUnavailable("Redis does not answer"))
    else:
        job.future.set_result(found)
