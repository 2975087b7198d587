"""POST /whatif and POST /explain/previous: what the explain page asks beside /explain, with the
limits, the admission and the access right that /explain has.
"""

from fastapi import FastAPI
from starlette.routing import Route

from service.errors import NoModel
from service.http.endpoints.scoring import ScoringEndpoint, route_load_of
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission
from service.scoring.live_version import Live
from service.scoring.payloads import PayloadDecoder
from service.scoring.views import SLICE_ROWS, Explanations
from service.scoring.what_if import WhatIf
from service.settings import Settings
from service.versions.follower import Follower


class _Changes(Explanations):
    # what the load of /whatif is made of
    route = "/whatif"
    step_rows = SLICE_ROWS


class _Before(Explanations):
    route = "/explain/previous"


def what_if_endpoint(
    follower: Follower,
    telemetry: Telemetry,
    admission: Admission,
    settings: Settings,
    most_rows: int,
) -> ScoringEndpoint:
    """A request with the place of one of its rows: what single changes of it would do, at most
    `most_rows` changed rows.
    """
    view = _Changes()
    pace = route_load_of(view, admission, settings).pace
    return ScoringEndpoint(
        view,
        follower,
        telemetry,
        admission,
        settings,
        PayloadDecoder(settings.max_explain_rows, settings.input_limits, what_if=True),
        WhatIf(telemetry, admission.turns, pace, most_rows, settings.timeout_ms),
    )


class _Previous:
    # the version before, as a follower has the live one

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.shadow = follower.shadow

    @property
    def status(self) -> "_Previous":
        return self

    def require(self) -> Live:
        live = self._follower.previous
        if live is None:
            raise NoModel("this worker holds no other version than the live one")
        return live


def add_what_if(
    app: FastAPI,
    settings: Settings,
    follower: Follower,
    telemetry: Telemetry,
    admission: Admission,
    most_rows: int,
) -> dict[str, ScoringEndpoint]:
    """Give the app the two paths, and return them; `most_rows`: see `what_if_endpoint`."""
    parts = telemetry, admission, settings
    endpoints = {
        _Changes.route: what_if_endpoint(follower, *parts, most_rows),
        _Before.route: ScoringEndpoint(_Before(), _Previous(follower), *parts),
    }
    for path, endpoint in endpoints.items():
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))
    return endpoints
