"""The pages for people: the explain page at / and its files, and what it begins with."""

import asyncio
import hashlib
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from model.page import files
from model.page.beginning import beginning
from service.scoring.live_version import Live
from service.versions.follower import Follower

PAGES = {"/": files.EXPLAIN}
FILES = frozenset(f"/page/{name}" for name in files.names() if not name.endswith(".html"))
WHAT_IF = "/whatif"

_HEADERS = {
    "content-security-policy": files.policy(frame_ancestors="'none'"),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


def add_explain_page(app: FastAPI, follower: Follower) -> None:
    """Give the app / with its files, and GET /whatif, whose links are relative: they hold behind a
    proxy's prefix as well.
    """
    kept = {path: page_answer(name) for path, name in PAGES.items()}
    kept |= {path: page_answer(path.rpartition("/")[2]) for path in FILES}

    async def shown(request: Request) -> Response:
        answer = kept[request.url.path]
        if request.headers.get("if-none-match") == answer.headers["etag"]:
            headers = dict(answer.headers)
            del headers["content-length"], headers["content-type"]
            return Response(status_code=304, headers=headers)
        return answer

    for path in kept:
        app.add_route(path, shown, methods=["GET"], include_in_schema=False)
    beginnings = _Beginnings()

    @app.get(WHAT_IF, include_in_schema=False)
    async def what_if() -> Response:
        live, previous = follower.status.require(), follower.previous
        said = {
            "model": live.model,
            **await beginnings.of(live),
            "previous": None if previous is None else previous.version,
        }
        return Response(msgspec.json.encode(said), media_type="application/json")


class _Beginnings:
    # of the versions that were asked for, the last two

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}

    async def of(self, live: Live) -> dict[str, Any]:
        found = self._known.get(live.version)
        if found is None:  # in a thread: large vocabularies take a while to read
            bundle = live.bundle
            found = await asyncio.to_thread(lambda: beginning(bundle, bundle.read_vocabularies()))
            self._known = {**dict(list(self._known.items())[-1:]), live.version: found}
        return found


def page_answer(name: str) -> Response:
    """A file of the pages as an answer, with what a browser may do for it."""
    content = files.read(name)
    kind = files.KINDS[name[name.rindex(".") :]]
    headers = {**_HEADERS, "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    return Response(content, media_type=kind, headers=headers)
