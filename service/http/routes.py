"""Which path leads to which endpoint; every error is a row of the table in `problems`."""

from fastapi import FastAPI
from starlette.routing import Route

from service.http.endpoints.scoring import ScoringEndpoint
from service.http.endpoints.status import status_routes
from service.http.observed.profile import ProfiledEndpoint
from service.http.wire.drain import Drain
from service.observe.metrics import SCORING, STATUS_PATHS, Telemetry
from service.scoring.admission import Admission
from service.scoring.views import Explanations, Probabilities
from service.settings import Settings
from service.versions.follower import Follower

PATHS = frozenset((*SCORING, *STATUS_PATHS))


def add_routes(
    app: FastAPI,
    settings: Settings,
    follower: Follower,
    telemetry: Telemetry,
    admission: Admission,
    drain: Drain,
) -> dict[str, ScoringEndpoint]:
    """Give the app its paths; returns those that score."""
    parts = follower, telemetry, admission, settings
    scoring = {
        Probabilities.route: ScoringEndpoint(Probabilities(), *parts),
        Explanations.route: ProfiledEndpoint(Explanations(), *parts),
    }
    for path, endpoint in scoring.items():
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))
    app.include_router(status_routes(follower, telemetry, drain))
    return scoring
