"""What the protocol's paths beside infer say: that the server lives, is ready, and what it has."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model.schema import MultivalueField, NumericField
from service.http.inference.infer_endpoint import require_named
from service.http.inference.outputs import ATTENTION, output_shapes
from service.http.inference.tensors import BYTES, FP64
from service.http.wire.drain import Drain
from service.scoring.live_version import Live
from service.versions.follower import Follower

EXTENSIONS = ("binary_tensor_data",)


class Metadata:
    """The protocol's GET endpoints; `version` is the service's."""

    def __init__(self, follower: Follower, drain: Drain, version: str) -> None:
        self._follower = follower
        self._drain = drain
        self._version = version

    async def live(self, _: Request) -> Response:
        """The process lives."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """A version is live, and the process is not about to stop."""
        ready = self._is_ready()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def server(self, _: Request) -> Response:
        """The server's name, version and extensions."""
        return JSONResponse(
            {"name": "ctr-afm", "version": self._version, "extensions": list(EXTENSIONS)}
        )

    async def model(self, request: Request) -> Response:
        """The inputs and outputs of the live version."""
        live = self._follower.status.require()
        require_named(request.scope, live)
        return JSONResponse(described(live))

    async def model_ready(self, request: Request) -> Response:
        """Whether the model, or its version, is live."""
        live = self._follower.status.require()
        require_named(request.scope, live)
        ready = self._is_ready()
        return JSONResponse({"name": live.model, "ready": ready}, 200 if ready else 503)

    def _is_ready(self) -> bool:
        return self._follower.status.live is not None and not self._drain.unready


def described(live: Live) -> dict[str, Any]:
    """A version as model metadata. `slots`, JSON in a text, says which pairs attention is of: the
    first slot with each later one, then the second one, and so on.
    """
    schema = live.bundle.schema
    inputs: dict[str, dict[str, Any]] = {}
    for name, field in schema.fields.items():
        is_number = isinstance(field, NumericField) and field.part is None
        shape = [-1, -1] if isinstance(field, MultivalueField) else [-1]
        source = schema.sources[name]
        inputs[source] = {
            "name": source,
            "datatype": FP64 if is_number else BYTES,
            "shape": shape,
        }
    outputs: list[dict[str, Any]] = [
        {"name": name, "datatype": "FP32", "shape": shape}
        for name, shape in output_shapes(live).items()
    ]
    if outputs[-1]["name"] == ATTENTION:
        outputs[-1]["parameters"] = {"slots": json.dumps(schema.slots)}
    return {
        "name": live.model,
        "versions": [live.version],
        "platform": "ctr-afm_onnx",
        "inputs": list(inputs.values()),
        "outputs": outputs,
    }
