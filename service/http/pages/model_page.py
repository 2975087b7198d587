"""The page of a model at /model.html, and what it shows: GET /model/facts, for an operator."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.responses import Response

from model.page import files
from service.errors import StoreError, StoreUnavailable
from service.http.pages.explain_page import page_answer
from service.http.pages.model_facts import HeldOut, changes, facts
from service.scoring.live_version import Live
from service.store.version_store import VersionStore
from service.versions.follower import Follower

PAGE = "/model.html"
FACTS = "/model/facts"


def add_model_page(
    app: FastAPI, follower: Follower, redis: str | Path, redis_timeout: float
) -> None:
    """Give the app the page and what it shows."""
    page = page_answer(files.MODEL)

    @app.get(PAGE, include_in_schema=False)
    async def shown() -> Response:
        return page

    current = _CurrentFacts(follower, redis, redis_timeout)

    @app.get(FACTS, include_in_schema=False)
    async def model_facts() -> Response:
        # in a thread: hundreds of rows are scored
        body = await asyncio.to_thread(current.body)
        return Response(body, media_type="application/json")


class _CurrentFacts:
    # one question at a time; what held-out rows say of the last two versions is kept

    def __init__(self, follower: Follower, redis: str | Path, redis_timeout: float) -> None:
        self._follower = follower
        self._redis = redis
        self._redis_timeout = redis_timeout
        self._held_out: dict[str, HeldOut] = {}
        self._lock = threading.Lock()

    def body(self) -> bytes:
        status = self._follower.status
        live, before = status.require().without_ads(), self._follower.previous
        with self._lock:
            held_out = self._of(live)
            said = facts(live, held_out, self._follower.shadow.rows())
            said["changes"] = None
            if before is not None and before.version != live.version:
                said["changes"] = changes(live, held_out, before, self._of(before))
            refusal = status.refusal
            said["refused"] = None
            if refusal is not None:
                said["refused"] = {k: getattr(refusal, k) for k in ("version", "code", "reason")}
            said |= self._versions(live.model)
        return msgspec.json.encode(said)

    def _of(self, live: Live) -> HeldOut:
        found = self._held_out.get(live.version) or HeldOut(live.without_ads())
        self._held_out = {**dict(list(self._held_out.items())[-1:]), live.version: found}
        return found

    def _versions(self, model: str) -> dict[str, Any]:
        store = VersionStore(self._redis, model, self._redis_timeout)
        try:
            records = [
                {k: getattr(one, k) for k in ("version", "net", "created", "published", "metrics")}
                for one in store.versions()
            ]
            return {"active": store.active(), "versions": records}
        except (StoreError, StoreUnavailable) as error:
            return {"active": None, "versions": None, "redis": str(error)}
        finally:
            store.close()
