"""POST /whatif and POST /explain/previous: what the explain page asks beside /explain, with the
limits, the admission and the access right that /explain has.
"""

from fastapi import FastAPI
from starlette.routing import Route

from service.errors import NoModel
from service.http.endpoints.scoring import ScoringEndpoint
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission
from service.scoring.live_version import Live
from service.scoring.payloads import PayloadDecoder
from service.scoring.views import SLICE_ROWS, Explanations
from service.scoring.what_if import WhatIf
from service.settings import Settings
from service.versions.follower import Follower


class _Changes(Explanations):
    # what the entrance of /whatif is made by
    route = "/whatif"
    step_rows = SLICE_ROWS


class _Before(Explanations):
    route = "/explain/previous"


class WhatIfEndpoint(ScoringEndpoint):
    """A request with the place of one of its rows: what single changes of it would do."""

    def __init__(
        self, follower: Follower, telemetry: Telemetry, admission: Admission, settings: Settings
    ) -> None:
        super().__init__(_Changes(), follower, telemetry, admission, settings)
        limits = settings.input_limits
        self._decoder = PayloadDecoder(settings.max_explain_rows, limits, what_if=True)
        self._predictor = WhatIf(
            telemetry,
            admission.turns,
            self._entrance.pace,
            settings.max_whatif_rows,
            settings.timeout_ms,
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
) -> dict[str, ScoringEndpoint]:
    """Give the app the two paths, and return them."""
    parts = telemetry, admission, settings
    endpoints = {
        _Changes.route: WhatIfEndpoint(follower, *parts),
        _Before.route: ScoringEndpoint(_Before(), _Previous(follower), *parts),
    }
    for path, endpoint in endpoints.items():
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))
    return endpoints
