"""What /docs says of the two raw routes, whose bodies no pydantic model ever sees at run time."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

Scalar = str | int | float | bool | None
Row = dict[str, Scalar | list[Scalar]]

_INSTANCES = [{"device": "ios", "hour": 21, "price": 3.5, "genres": ["a", "b"]}]
_CONTEXT: dict[str, Any] = {"device": "ios", "hour": 21}
_CANDIDATES = [{"ad": "a1", "price": 3.5}, {"ad": "a2"}]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    timeout_ms: float | None = Field(
        None,
        gt=0,
        le=86_400_000,
        description="504 once so many milliseconds are over; null for the default",
    )
    strict: bool = Field(
        True,
        description="whether a row that cannot be scored fails the request (422); else its answer "
        "is null, and `errors` says why",
    )


class InstancesRequest(_Request):
    """Rows that each stand for themselves; a value unseen in training is data, not an error."""

    instances: list[Row] = Field(min_length=1, examples=[_INSTANCES])


class CandidatesRequest(_Request):
    """One context with N candidates; a candidate's value wins over the context's."""

    context: Row = Field(examples=[_CONTEXT])
    candidates: list[Row] = Field(min_length=1, examples=[_CANDIDATES])


class ExplainInstancesRequest(InstancesRequest):
    """Rows to explain."""

    top: int | None = Field(20, ge=0, description="pairs a row, largest first; null for all")


class ExplainCandidatesRequest(CandidatesRequest):
    """A context with candidates to explain."""

    top: int | None = Field(20, ge=0, description="pairs a row, largest first; null for all")


class RowError(BaseModel):
    """Why a row was answered with null; what a problem would say of it."""

    row: int = Field(description="counted from 0")
    field: str | None = Field(description="the schema's name, null where no field is to blame")
    code: str = Field(examples=["wrong_type"])
    detail: str


class Answer(BaseModel):
    """What every answer says."""

    model: str = Field(examples=["ads"])
    version: str = Field(description="the version that scored this very answer")
    degraded: bool = Field(description="some values could not be looked up, and count as unknown")
    errors: list[RowError] = Field(
        [], description="of the rows answered with null; given where strict is false"
    )


class PredictAnswer(Answer):
    """Probabilities in the order of the rows; of a model for regression or ranking, scores."""

    probabilities: list[float | None] | None = Field(
        description="null where the model's task has no probability", examples=[[0.0123, 0.0045]]
    )
    scores: list[float | None] | None = Field(
        None, description="given where probabilities is null, and nowhere else"
    )


class LinearTerm(BaseModel):
    """A feature's own share of the logit; `known`: training saw the value."""

    field: str
    value: str | None
    known: bool
    contribution: float


class PairTerm(BaseModel):
    """A pair's share of the logit; contribution = attention x interaction."""

    fields: list[str] = Field(min_length=2, max_length=2)
    values: list[str | None] = Field(min_length=2, max_length=2)
    attention: float | None = Field(description="null where the net has none")
    interaction: float
    contribution: float


class Rest(BaseModel):
    """The sums over the pairs that are not listed."""

    pairs: int
    attention: float | None
    contribution: float


class Explanation(BaseModel):
    """bias + linear + pairs + rest = logit.

    Where the net is no sum over pairs, pairs and rest are null and `reason` says why; bias + linear
    is then a part of the logit only.
    """

    probability: float | None = Field(description="null where the model's task has none")
    score: float | None = Field(
        None, description="given where probability is null, and nowhere else: the logit itself"
    )
    logit: float
    bias: float
    linear: list[LinearTerm]
    pairs: list[PairTerm] | None = Field(description="null where the net is not additive (nfm)")
    rest: Rest | None = Field(description="null where pairs is")
    reason: str | None = Field(None, description="given where pairs is null, and nowhere else")


class ExplainAnswer(Answer):
    """One explanation a row, in the order of the rows."""

    explanations: list[Explanation | None]


class Problem(BaseModel):
    """RFC 9457; `code` is stable, `row` counts from 0, `field` is the schema's name."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(examples=["wrong_type"])
    row: int | None = None
    field: str | None = None


_MODELS: list[type[BaseModel]] = [
    InstancesRequest,
    CandidatesRequest,
    ExplainInstancesRequest,
    ExplainCandidatesRequest,
    PredictAnswer,
    ExplainAnswer,
    Problem,
]
_FAULTS = {
    400: "not JSON",
    401: "no API key, or one that is not known; only where keys are asked for",
    403: "an API key without the right",
    413: "too many bytes or rows",
    415: "the content type is not JSON",
    408: "the request was not whole in time",
    422: "no request, or a value that a field cannot hold; names row and field",
    429: "too much is in flight; Retry-After says when to ask again",
    431: "the request's line and headers are too large",
    503: "no version is live",
    504: "timeout_ms, or the default, is over",
}


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _operation(
    name: str, summary: str, requests: list[type[BaseModel]], answer: type[BaseModel]
) -> dict[str, Any]:
    examples = {
        "instances": {"value": {"instances": _INSTANCES}},
        "candidates": {"value": {"context": _CONTEXT, "candidates": _CANDIDATES}},
    }
    problem = {"application/problem+json": {"schema": _reference(Problem)}}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [_reference(model) for model in requests]},
                    "examples": examples,
                }
            },
        },
        "responses": {
            "200": {
                "description": answer.__doc__,
                "content": {"application/json": {"schema": _reference(answer)}},
            },
            **{
                str(status): {"description": text, "content": problem}
                for status, text in _FAULTS.items()
            },
        },
    }


def add_raw_routes(openapi: dict[str, Any]) -> dict[str, Any]:
    """Complete the document that FastAPI made of its own routes."""
    predict = _operation(
        "predict", "Probabilities or scores", [InstancesRequest, CandidatesRequest], PredictAnswer
    )
    explain = _operation(
        "explain",
        "Scores taken apart: what each feature and each pair contributes",
        [ExplainInstancesRequest, ExplainCandidatesRequest],
        ExplainAnswer,
    )
    _, document = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    components = openapi.setdefault("components", {}).setdefault("schemas", {})
    components.update(document["$defs"])
    openapi["components"]["securitySchemes"] = _SCHEMES
    openapi["security"] = [{}, *({name: []} for name in _SCHEMES)]  # {}: keys may be off
    paths = {"/predict": {"post": predict}, "/explain": {"post": explain}}
    openapi["paths"] = {**paths, **openapi["paths"]}
    return openapi
