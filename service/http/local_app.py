"""The service's paths for one bundle in this process, without Redis, a socket or another version:
what `ctr_afm_client.Client("bundle/")` calls.
"""

from pathlib import Path
from typing import cast

from fastapi import FastAPI

from model.bundle.bundle import Bundle
from service.http.endpoints.what_if import add_what_if
from service.http.problems import InternalErrorMiddleware, ProblemMiddleware, add_handlers
from service.http.routes import add_routes
from service.http.wire.drain import Drain
from service.limits import NO_SHADOW
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission
from service.scoring.live_version import Live, make_live
from service.scoring.what_if import MOST_ROWS
from service.settings import Settings
from service.versions.follower import Follower
from service.versions.shadow import Shadow
from service.versions.status import Status


class _Fixed:
    # as a follower whose version never changes

    previous = None

    def __init__(self, live: Live) -> None:
        self.shadow = Shadow(NO_SHADOW)
        self.status = Status(
            live.model, live.model, live, live.version, confirmed=True, redis_fault=None
        )


def local_app(directory: Path) -> FastAPI:
    """An ASGI app that answers as the service does that a bundle is published to; its settings are
    those of the environment.

    Raises:
        BundleError: the bundle is damaged, or scores other than it did when it was made.
        SettingsError: a variable of the environment that cannot be used.
    """
    settings = Settings.load()
    bundle = Bundle.open(directory)
    held = bundle.read_vocabulary_bytes()
    live = make_live(settings.model, bundle, held, settings.ad_cache)
    # the endpoints read its status, its shadow and the version before
    follower = cast(Follower, _Fixed(live))
    telemetry = Telemetry()
    admission = Admission(
        telemetry,
        most_wait=settings.max_wait_ms / 1000,
        most_rows=settings.max_rows_in_flight,
    )
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_handlers(app)
    add_routes(app, settings, follower, telemetry, admission, Drain(0))
    add_what_if(app, settings, follower, telemetry, admission, MOST_ROWS)
    app.add_middleware(ProblemMiddleware)
    app.add_middleware(InternalErrorMiddleware)
    return app
