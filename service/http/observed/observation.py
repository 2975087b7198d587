"""What the settings ask to be noted of requests, as one object; with none of it on, nothing is put
around anything.
"""

from starlette.types import ASGIApp

from service.http.endpoints.scoring import ScoringEndpoint
from service.http.observed.logged import Logged
from service.http.observed.timed import Timed
from service.observe.metrics import Telemetry
from service.observe.prediction_log import PredictionLog
from service.observe.traces import Traces
from service.settings import Settings


class Observation:
    """Server timings, traces and the prediction log of one worker.

    Raises:
        SettingsError: traces are asked for, and OpenTelemetry is not installed.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry, version: str) -> None:
        self._header = settings.server_timing
        self._traces: Traces | None = None
        self._log: PredictionLog | None = None
        if settings.traces is not None:
            self._traces = Traces(settings.traces, settings.traces_share, version)
        if settings.prediction_log is not None:
            self._log = PredictionLog(
                settings.prediction_log,
                settings.prediction_log_share,
                telemetry.logged,
            )
        self._times = self._header or self._traces is not None
        self.telemetry = telemetry.noting() if self._times else telemetry

    def around(self, app: ASGIApp) -> ASGIApp:
        """The app with its requests timed, where that is asked for."""
        if not self._times:
            return app
        return Timed(app, header=self._header, traces=self._traces)

    def log(self, endpoint: ScoringEndpoint) -> None:
        """Offer the answers of an endpoint to the prediction log, where there is one."""
        log = self._log
        if log is not None:
            endpoint.wrap(lambda inner: Logged(inner, log))

    def start(self) -> None:
        """Begin to write."""
        if self._log is not None:
            self._log.start()

    def close(self) -> None:
        """Write and send what waits, for a few seconds at most."""
        if self._log is not None:
            self._log.stop()
        if self._traces is not None:
            self._traces.close()
