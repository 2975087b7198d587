"""The paths of the protocol, and the one label that each has in the metrics."""

import re

from fastapi import FastAPI
from starlette.routing import Route

from service.http.inference.infer_endpoint import InferEndpoint
from service.http.inference.metadata import Metadata
from service.http.wire.drain import Drain
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission
from service.settings import Settings
from service.versions.follower import Follower

LIVE, READY, SERVER = "/v2/health/live", "/v2/health/ready", "/v2"
MODEL = "/v2/models/{model}"
VERSION = MODEL + "/versions/{version}"
_OF_A_MODEL = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?(/ready|/infer)?")


def add_inference(
    app: FastAPI,
    settings: Settings,
    follower: Follower,
    telemetry: Telemetry,
    admission: Admission,
    drain: Drain,
) -> None:
    """Give the app the protocol's paths."""
    metadata = Metadata(follower, drain, app.version)
    infer = InferEndpoint(follower, telemetry, admission, settings)
    routes = [
        Route(LIVE, metadata.live),
        Route(READY, metadata.ready),
        Route(SERVER, metadata.server),
    ]
    for path in (MODEL, VERSION):
        routes += [
            Route(path, metadata.model),
            Route(f"{path}/ready", metadata.model_ready),
            Route(f"{path}/infer", infer, methods=["POST"]),
        ]
    app.router.routes += routes


def label_of(path: str) -> str | None:
    """The route that a path below /v2 is counted as; None for one that is not there."""
    if path in (LIVE, READY, SERVER):
        return path
    found = _OF_A_MODEL.fullmatch(path)
    return None if found is None else MODEL + (found[1] or "")
