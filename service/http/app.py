"""The service as an ASGI app: every part made once, and handed in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Overloaded, Unavailable
from service.http.access.api_keys import ApiKeys
from service.http.access.auth import Authorization
from service.http.artf import serving_artf
from service.http.endpoints.what_if import add_what_if
from service.http.headers.coding import Compressed
from service.http.inference.error_bodies import ErrorBodies
from service.http.inference.paths import add_inference
from service.http.observed.observation import Observation
from service.http.openapi import document
from service.http.pages.docs import add_docs_page
from service.http.pages.explain_page import FILES, PAGES, add_explain_page
from service.http.pages.model_page import FACTS, PAGE, add_model_page
from service.http.problems import InternalErrorMiddleware, ProblemMiddleware, add_handlers
from service.http.request_metrics import RequestMetrics
from service.http.routes import PATHS, add_routes
from service.http.wire.arrivals import Arrivals
from service.http.wire.connection import ConnectionRules
from service.http.wire.connection_limit import ConnectionLimit
from service.http.wire.doorway import KEY as DOORWAY
from service.http.wire.doorway import Doorway
from service.http.wire.drain import Drain
from service.http.wire.refusals import Refusals
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission
from service.scoring.remote.redis_lookups import Lookups
from service.scoring.what_if import MOST_ROWS
from service.settings import Settings
from service.store.bundle_store import BundleStore
from service.store.model_keys import REDIS_TIMEOUT_SECONDS
from service.store.version_store import VersionStore
from service.versions.follower import DEFAULT_TIMES, Follower, Times
from service.versions.model_choice import EXAMPLE
from service.versions.shadow import Shadow

FIRST_POLL_SECONDS = 60.0  # a worker that listens sooner would answer 503 to its first requests

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]

# beside the scoring paths
COMPRESSED = frozenset(("/metrics", "/openapi.json", "/whatif", FACTS, PAGE, *PAGES, *FILES))


def create_app(
    settings: Settings,
    redis: str | Path,
    *,
    replaces: bool = False,
    times: Times = DEFAULT_TIMES,
    redis_timeout: float = REDIS_TIMEOUT_SECONDS,
    max_rows_in_flight: int | None = None,
    max_whatif_rows: int = MOST_ROWS,
) -> FastAPI:
    """The app, which follows the active version of `settings.model` while its lifespan lasts.

    Args:
        settings: the settings of the service.
        redis: the URL of Redis, or a file that holds it.
        replaces: its process stands in for one that died.
        times: how long the follower of the active version waits for what.
        redis_timeout: seconds that one command of Redis, or connecting, may take.
        max_rows_in_flight: the settings' number, unless another one is given.
        max_whatif_rows: the changed rows that one /whatif may have scored.

    Raises:
        SettingsError: the file of API keys cannot be used.
    """
    telemetry = Telemetry()
    observation = Observation(settings, telemetry, _version())
    lookups = Lookups(redis, settings.remote_timeout_ms / 1000, redis_timeout)
    store, example = VersionStore(redis, settings.model, redis_timeout), None
    if settings.example and settings.model != EXAMPLE:
        example = VersionStore(redis, EXAMPLE, redis_timeout)
    follower = Follower(
        store,
        BundleStore(settings.bundle_directory, settings.home / "notes"),
        telemetry,
        times,
        cache=settings.ad_cache,
        lookups=lookups,
        shadow=Shadow(settings.shadow_limits),
        replaces=replaces,
        example=example,
    )
    keys = None if settings.api_keys is None else ApiKeys(settings.api_keys)
    admission = _admission(settings, telemetry, max_rows_in_flight)
    drain = Drain(settings.drain_seconds)
    at_socket = _at_socket(settings, telemetry, admission, drain, follower)
    lifespan = _lifespan(settings, follower, lookups, keys, telemetry, observation, at_socket)
    app = _App(lifespan, settings.root_path)
    add_handlers(app)
    add_docs_page(app)
    add_explain_page(app, follower)
    add_model_page(app, follower, redis, redis_timeout)
    noted = observation.telemetry
    routes = add_routes(app, settings, follower, noted, admission, drain)
    routes |= add_what_if(app, settings, follower, noted, admission, max_whatif_rows)
    add_inference(app, settings, follower, noted, admission, drain)
    observation.log(routes["/predict"])
    _add_layers(app, routes, settings, telemetry, keys, observation)
    app.state.follower = follower
    app.state.drain = drain
    return app


def _admission(settings: Settings, telemetry: Telemetry, most_rows: int | None) -> Admission:
    return Admission(
        telemetry,
        most_wait=settings.max_wait_ms / 1000,
        most_rows=most_rows or settings.max_rows_in_flight,
        refusal=Unavailable if settings.overload_status == "503" else Overloaded,
    )


def _at_socket(
    settings: Settings,
    telemetry: Telemetry,
    admission: Admission,
    drain: Drain,
    follower: Follower,
) -> dict[str, Any]:
    # what the protocol of each connection is given, below ASGI
    rules = ConnectionRules(
        settings.max_head_bytes,
        settings.client_timeout_seconds,
        drain,
        telemetry.cut,
        ConnectionLimit(settings.connections),
        settings.access_log,
    )
    state: dict[str, Any] = {"connection_rules": rules}

    def wait_unparsed() -> bool:
        return settings.timeout_ms is None and not follower.status.looks_values_up

    if not settings.cors_origins:  # a browser hides an answer without its headers
        state[DOORWAY] = Doorway(
            Refusals(admission, telemetry, access_log=settings.access_log),
            Arrivals(admission, wait_unparsed),
        )
    return state


def _lifespan(
    settings: Settings,
    follower: Follower,
    lookups: Lookups,
    keys: ApiKeys | None,
    telemetry: Telemetry,
    observation: Observation,
    state: dict[str, Any],
) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        follower.start()
        observation.start()
        await asyncio.to_thread(follower.wait, FIRST_POLL_SECONDS)
        async with AsyncExitStack() as resources:
            if keys is not None:
                await resources.enter_async_context(keys.watched(telemetry.keys_current.set))
            if settings.artf is not None:
                await resources.enter_async_context(serving_artf(app, settings))
            yield state
        await asyncio.to_thread(follower.stop)
        await asyncio.to_thread(observation.close)
        await asyncio.to_thread(lookups.close)

    return lifespan


def _add_layers(
    app: "_App",
    routes: Mapping[str, ASGIApp],
    settings: Settings,
    telemetry: Telemetry,
    keys: ApiKeys | None,
    observation: Observation,
) -> None:
    # around the framework's app, and the same around the shortcuts: the last one added is outermost
    counting: dict[str, Any] = {
        "telemetry": telemetry,
        "routes": PATHS,
        "access_log": settings.access_log,
    }
    for path, endpoint in routes.items():
        guarded = endpoint if keys is None else Authorization(endpoint, keys)
        answered = InternalErrorMiddleware(ProblemMiddleware(guarded))
        app.shortcuts[path] = RequestMetrics(observation.around(answered), **counting)
    app.add_middleware(Compressed, paths=COMPRESSED)
    if keys is not None:
        app.add_middleware(Authorization, keys=keys)
        app.add_middleware(ProblemMiddleware)
    app.add_middleware(InternalErrorMiddleware)
    app.add_middleware(observation.around)
    app.add_middleware(RequestMetrics, **counting)
    app.add_middleware(ErrorBodies)
    if settings.cors_origins:
        _allow_pages(app, settings.cors_origins)


def _allow_pages(app: "_App", origins: str) -> None:
    allowed = {
        "allow_origins": [origin.strip() for origin in origins.split(",")],
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["*"],
        "expose_headers": ["retry-after", "retry-after-ms", "x-request-id", "traceparent"],
    }
    app.add_middleware(CORSMiddleware, **allowed)  # type: ignore[arg-type]  # a dict of both kinds
    for path, endpoint in app.shortcuts.items():
        app.shortcuts[path] = CORSMiddleware(endpoint, **allowed)  # type: ignore[arg-type]  # the same


class _App(FastAPI):
    # POSTs to the scoring paths go around the framework's dozen layers, which take as long as to
    # encode a request; whatever else comes to these paths goes through them

    def __init__(self, lifespan: Lifespan, prefix: str | None) -> None:
        super().__init__(
            title="ctr-afm",
            version=_version(),
            description="Click probabilities for one context and its candidate ads, and why.",
            lifespan=lifespan,
            redirect_slashes=False,
            docs_url=None,
            redoc_url=None,
        )
        self.shortcuts: dict[str, ASGIApp] = {}
        self._prefix = f"{prefix}/" if prefix else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._prefix and scope["path"].startswith(self._prefix):
                scope["path"] = scope["path"][len(self._prefix) - 1 :]
            if scope["method"] == "POST":
                shortcut = self.shortcuts.get(scope["path"])
                if shortcut is not None:
                    return await shortcut(scope, receive, send)
            elif scope["method"] == "HEAD":  # as GET (RFC 9110, 9.3.2); uvicorn sends no body
                scope = {**scope, "method": "GET"}
        return await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = document(self.version)
        return self.openapi_schema


def _version() -> str:
    try:
        return version("ctr-afm")
    except PackageNotFoundError:  # run from a source tree
        return "0"
