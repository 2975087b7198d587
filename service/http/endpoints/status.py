"""What the service says about itself: whether it is ready, what is live, and its metrics."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.http.access.auth import UNAUTHENTICATED_HEALTH
from service.http.problems import problem
from service.http.wire.drain import Drain
from service.observe.metrics import Telemetry
from service.versions.follower import Follower
from service.versions.model_choice import EXAMPLE


def status_routes(follower: Follower, telemetry: Telemetry, drain: Drain) -> APIRouter:
    """GET /healthz, /readyz, /metrics and /model."""
    router = APIRouter()

    @router.get("/healthz", summary="The process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="A verified, warm version is live", response_model=None)
    async def readyz(request: Request) -> Response | dict[str, Any]:
        status = follower.status  # one value: no part of it is older than another
        if request.scope.get(UNAUTHENTICATED_HEALTH):
            if status.live is None:
                return problem(503, "no_model", "no version is live")
            return {"status": "ready"}
        refusal = status.refusal
        refused = None
        if refusal:
            refused = {k: getattr(refusal, k) for k in ("version", "code", "reason")}
        state: dict[str, Any] = {
            "model": status.live.model if status.live else status.model,
            "example": status.live is not None and status.live.model == EXAMPLE,
            "version": status.live.version if status.live else None,
            "active": status.active,
            "redis": status.redis_fault or status.redis_warning or "ok",
            "confirmed": status.confirmed,
            "refused": refused,
        }
        if drain.unready:
            return problem(503, "stopping", "this process is about to stop", **state)
        if status.live is None:
            return problem(503, "no_model", status.why_not_ready(), **state)
        return {"status": "ready", **state}

    @router.get("/metrics", summary="Prometheus' text format", response_class=Response)
    def metrics() -> Response:  # in a thread: with many workers it reads many files
        return Response(telemetry.scrape(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/model", summary="The live version")
    async def model() -> dict[str, Any]:
        live = follower.status.require()
        manifest = live.bundle.manifest
        return {
            "model": live.model,
            "example": live.model == EXAMPLE,
            "version": live.version,
            "net": manifest.net,
            "task": manifest.task,
            "created": manifest.created,
            "schema": live.bundle.schema.model_dump(),
            "metrics": manifest.metrics,
        }

    return router
