"""The protocol in the API's document: its bodies as structs, and its operations."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.http.endpoints.status_answers import Problem
from service.http.headers import deadline
from service.http.inference.infer_request import LENGTH
from service.http.inference.paths import LIVE, MODEL, READY, SERVER, VERSION
from service.http.inference.tensors import DATATYPES

_Shape = Annotated[list[int], Meta(min_length=1, max_length=2, description="[rows], [rows, n].")]
_Datatype = Annotated[str, Meta(examples=list(DATATYPES))]
_Parameters = dict[str, Any]


class InferenceInput(msgspec.Struct):
    """The values of one field, a row after the other."""

    name: Annotated[str, Meta(description="As a row of /predict names it.")]
    shape: _Shape
    datatype: _Datatype
    data: Annotated[
        list[Any] | UnsetType,
        Meta(description="Flat or row by row; null is missing. Left out where bytes follow."),
    ] = UNSET
    parameters: Annotated[
        _Parameters | UnsetType, Meta(description="`binary_data_size`: its bytes behind the JSON.")
    ] = UNSET


class InferenceOutputName(msgspec.Struct):
    """An output that is wanted."""

    name: Annotated[str, Meta(examples=["probability", "score", "logit", "attention"])]
    parameters: Annotated[
        _Parameters | UnsetType, Meta(description="`binary_data`: whether as bytes.")
    ] = UNSET


class InferenceRequest(msgspec.Struct):
    """A tensor a field. A field without one is missing in every row."""

    inputs: Annotated[list[InferenceInput], Meta(min_length=1)]
    id: str | UnsetType = UNSET
    outputs: Annotated[
        list[InferenceOutputName] | UnsetType,
        Meta(description="Left out: the probability, or the score where the task has none."),
    ] = UNSET
    parameters: Annotated[
        _Parameters | UnsetType,
        Meta(description="`timeout` in microseconds; `binary_data_output`: outputs as bytes."),
    ] = UNSET


class InferenceTensor(msgspec.Struct):
    """An output: `data`, or as many bytes behind the JSON as `parameters` says."""

    name: str
    shape: _Shape
    datatype: Annotated[str, Meta(examples=["FP32"])]
    data: list[float] | UnsetType = UNSET
    parameters: _Parameters | UnsetType = UNSET


class InferenceAnswer(msgspec.Struct):
    """The outputs, a row of each for a row of the request."""

    model_name: str
    model_version: str
    outputs: list[InferenceTensor]
    id: Annotated[str | UnsetType, Meta(description="The request's.")] = UNSET
    parameters: Annotated[
        _Parameters | UnsetType,
        Meta(description="`degraded`: values could not be looked up, and count as unknown."),
    ] = UNSET


class InferenceError(Problem, kw_only=True):
    """What is wrong, with the keys of a problem (RFC 9457) beside it."""

    error: str


class ServerLive(msgspec.Struct):
    """The process lives."""

    live: bool


class ServerReady(msgspec.Struct):
    """Whether a version is live, and the process is not about to stop."""

    ready: bool


class ServerMetadata(msgspec.Struct):
    """The server, and the extensions that it has."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(msgspec.Struct):
    """One input or output; -1 is any number. Inputs may have any of the datatypes."""

    name: str
    datatype: _Datatype
    shape: list[int]
    parameters: _Parameters | UnsetType = UNSET


class ModelMetadata(msgspec.Struct):
    """The live version, and its inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(msgspec.Struct):
    """Whether the model is ready."""

    name: str
    ready: bool


STRUCTS: list[type[msgspec.Struct]] = [
    *(InferenceRequest, InferenceAnswer, InferenceError),
    *(ServerLive, ServerReady, ServerMetadata, ModelMetadata, ModelReady),
]
_LENGTH = {
    "name": LENGTH.decode(),
    "in": "header",
    "required": False,
    "description": "The bytes of the JSON, where tensors follow it as bytes.",
    "schema": {"type": "integer", "format": "int64", "minimum": 0},
}
_NO_SUCH = {404: "Another model, or another version, than the live one."}
_NOT_READY = {503: "No version is live, or the process is about to stop."}
_EXAMPLE = {
    "inputs": [
        {"name": "device", "datatype": "BYTES", "shape": [2], "data": ["ios", "web"]},
        {"name": "price", "datatype": "FP64", "shape": [2], "data": [3.5, None]},
    ]
}


def operations(anywhere: dict[int, str], scoring: dict[int, str]) -> dict[str, Any]:
    """The paths of the protocol; `anywhere`: the problems that every path may answer, `scoring`:
    those of the paths that score.
    """
    found = {
        LIVE: {"get": _operation("v2_live", ServerLive, anywhere)},
        READY: {"get": _operation("v2_ready", ServerReady, anywhere | _NOT_READY)},
        SERVER: {"get": _operation("v2_server", ServerMetadata, anywhere)},
    }
    for path, end in ((MODEL, ""), (VERSION, "_version")):
        of_a_model = anywhere | _NO_SUCH | _NOT_READY
        described = _operation(f"v2_model{end}", ModelMetadata, of_a_model, path)
        ready = _operation(f"v2_model_ready{end}", ModelReady, of_a_model, path)
        infer = _operation(f"v2_infer{end}", InferenceAnswer, anywhere | _NO_SUCH | scoring, path)
        infer["tags"] = ["scoring"]
        infer["parameters"] += [deadline.PARAMETER, _LENGTH]
        content = {"schema": _of(InferenceRequest), "examples": {"rows": {"value": _EXAMPLE}}}
        infer["requestBody"] = {"required": True, "content": {"application/json": content}}
        found[path] = {"get": described}
        found[f"{path}/ready"] = {"get": ready}
        found[f"{path}/infer"] = {"post": infer}
    return found


def _operation(
    name: str, answer: type[msgspec.Struct], problems: dict[int, str], path: str = ""
) -> dict[str, Any]:
    text = " ".join((answer.__doc__ or "").split())
    answers: dict[str, Any] = {"200": {"description": text, "content": _json(answer)}}
    for status, why in sorted(problems.items()):
        answers[str(status)] = {"description": why, "content": _json(InferenceError)}
    if name == "v2_ready":
        answers["503"]["content"] = _json(ServerReady)
    return {
        "operationId": name,
        "tags": ["operation"],
        "summary": f"Open Inference Protocol: {text.rstrip('.')}",
        "parameters": [
            {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
            for part in ("model", "version")
            if f"{{{part}}}" in path
        ],
        "responses": answers,
    }


def _json(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": _of(struct)}}


def _of(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}
