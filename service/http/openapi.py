"""The OpenAPI document: made of the structs that decode requests and encode answers.

It is written for what generates clients of it. A row has any keys, and values of several JSON
types: generators make unions of those, which lose large integers, null or lists; so a row is an
object of any values, and the kinds stand in its description. A key that may be left out has no
`default`, which some take for a key that is always there. Numbers say `format: double`, since
without a format some send float32.
"""

from typing import Any

import msgspec

from service.http.endpoints.request_bodies import (
    AuctionRequest,
    CandidatesRequest,
    ExplainAuctionRequest,
    ExplainCandidatesRequest,
    ExplainInstancesRequest,
    InstancesRequest,
    WhatIfAuctionRequest,
    WhatIfCandidatesRequest,
    WhatIfInstancesRequest,
)
from service.http.endpoints.status_answers import Alive, ModelAnswer, NotReady, Problem, Ready
from service.http.headers import deadline
from service.http.inference import documented
from service.http.observed import profile
from service.scoring.answers import ExplainAnswer, PredictAnswer, WhatIfAnswer

JSON, PROBLEM, TEXT = "application/json", "application/problem+json", "text/plain"

_STRUCTS: list[type[msgspec.Struct]] = [
    *(InstancesRequest, CandidatesRequest, ExplainInstancesRequest, ExplainCandidatesRequest),
    *(WhatIfInstancesRequest, WhatIfCandidatesRequest, WhatIfAnswer),
    *(AuctionRequest, ExplainAuctionRequest, WhatIfAuctionRequest),
    *(PredictAnswer, ExplainAnswer, Alive, Ready, NotReady, ModelAnswer, Problem),
    *documented.STRUCTS,
]

_EXPLAINED: list[type[msgspec.Struct]] = [
    ExplainInstancesRequest,
    ExplainCandidatesRequest,
    ExplainAuctionRequest,
]

_INSTANCES = [{"device": "ios", "hour": 21, "price": 3.5, "genres": ["a", "b"]}]
_EXAMPLES: dict[str, Any] = {
    "instances": {"value": {"instances": _INSTANCES}},
    "candidates": {
        "value": {
            "context": {"device": "ios", "hour": 21},
            "candidates": [{"ad": "a1", "price": 3.5}, {"ad": "a2"}],
        }
    },
}

# What every path may answer: refused by its key, its method or its head, or a fault of the service.
_ANYWHERE = {
    401: "No API key, or one that is not known; only where keys are asked for.",
    403: "An API key without the right.",
    405: "The method is not possible at this path.",
    408: "The request was not whole in time.",
    431: "The request's line and headers are too large.",
    500: "A fault of the service itself.",
}
_SCORING = {
    400: "The body is not JSON, or the request broke off.",
    413: "Too many bytes or rows.",
    415: "The content type is not JSON, or the body is compressed.",
    422: "Not a request, or a value that a field cannot hold; names row and field.",
    429: "Overloaded; see the headers for when to ask again.",
    503: "No version is live, or the service sheds load where it is set to answer so.",
    504: "`timeout_ms`, of body or header, or the default deadline, has passed.",
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {
        "www-authenticate": {
            "description": "How to authenticate.",
            "schema": {"type": "string"},
        }
    },
    405: {"allow": {"description": "The methods that are possible.", "schema": {"type": "string"}}},
    429: {
        "retry-after": {
            "description": "In how many seconds to ask again; left out below one second.",
            "schema": {"type": "integer"},
        },
        "retry-after-ms": {
            "description": "In how many milliseconds to ask again.",
            "schema": {"type": "integer"},
        },
    },
}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_TAGS = [
    {"name": "scoring", "description": "Probabilities, and what they are made of."},
    {"name": "operation", "description": "Health, metrics, and what is live."},
]


def document(version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the service at this `version` of its distribution."""
    _, schemas = msgspec.json.schema_components(
        _STRUCTS, ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ctr-afm",
            "version": version,
            "description": "Click probabilities for one context and its candidate ads, and why.",
        },
        "servers": [
            {"url": "."}
        ],  # relative to the document: right behind a proxy's prefix as well
        "tags": _TAGS,
        "security": [{}, *({name: []} for name in _SCHEMES)],  # {}: keys may be off
        "paths": _paths(),
        "components": {"schemas": _for_generators(schemas), "securitySchemes": _SCHEMES},
    }


def _paths() -> dict[str, Any]:
    get, post = "get", "post"
    return {
        "/predict": {
            post: _scoring(
                "predict",
                "Probabilities or scores",
                [InstancesRequest, CandidatesRequest, AuctionRequest],
                PredictAnswer,
            )
        },
        "/explain": {
            post: _scoring(
                "explain",
                "Scores taken apart: what each feature and each pair contributes",
                _EXPLAINED,
                ExplainAnswer,
                profile.PARAMETER,
            )
        },
        "/explain/previous": {
            post: _scoring(
                "explain_previous",
                "The same by the version before, as far as the worker asked still holds it",
                _EXPLAINED,
                ExplainAnswer,
            )
        },
        "/whatif": {
            post: _scoring(
                "what_if",
                "What a row would be answered with after each single change",
                [WhatIfInstancesRequest, WhatIfCandidatesRequest, WhatIfAuctionRequest],
                WhatIfAnswer,
            )
        },
        "/healthz": {get: _operation("healthz", "The process lives", Alive)},
        "/readyz": {
            get: _operation(
                "readyz", "A verified, warm version is live", Ready, {503: _of(NotReady)}
            )
        },
        "/model": {get: _operation("model", "The live version", ModelAnswer, {503: _of(Problem)})},
        "/metrics": {get: _metrics()},
        **documented.operations(_ANYWHERE, _SCORING),
    }


def _for_generators(schema: Any) -> Any:
    # no defaults, and a format for each number
    if isinstance(schema, list):
        return [_for_generators(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _for_generators(part) for key, part in schema.items() if key != "default"}
    if found.get("type") == "object" and found.get("additionalProperties", {}) == {}:
        # {} means the same, and some read it as no value at all
        found |= {} if "properties" in found else {"additionalProperties": True}
    if found.get("type") == "number":
        found["format"] = "double"
    if found.get("type") == "integer":
        found["format"] = "int64"
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].split())
    return found


def _of(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}


def _answers(
    answer: type[msgspec.Struct], problems: dict[int, str], own: dict[int, dict[str, str]]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "200": {
            "description": " ".join((answer.__doc__ or "").split()),
            "content": {JSON: {"schema": _of(answer)}},
        }
    }
    for status, text in sorted(problems.items()):
        found[str(status)] = {
            "description": text,
            "content": {PROBLEM: {"schema": own.get(status, _of(Problem))}},
        }
        if status in _HEADERS:
            found[str(status)]["headers"] = _HEADERS[status]
    return found


def _scoring(
    name: str,
    summary: str,
    requests: list[type[msgspec.Struct]],
    answer: type[msgspec.Struct],
    *parameters: dict[str, Any],
) -> dict[str, Any]:
    body = {"oneOf": [_of(request) for request in requests]}
    return {
        "operationId": name,
        "tags": ["scoring"],
        "summary": summary,
        "parameters": [deadline.PARAMETER, *parameters],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": body, "examples": _EXAMPLES}},
        },
        "responses": _answers(answer, {**_ANYWHERE, **_SCORING}, {}),
    }


def _operation(
    name: str,
    summary: str,
    answer: type[msgspec.Struct],
    unavailable: dict[int, dict[str, str]] | None = None,
) -> dict[str, Any]:
    own = unavailable or {}
    texts = dict.fromkeys(own, "No version is live, or the process is about to stop.")
    return {
        "operationId": name,
        "tags": ["operation"],
        "summary": summary,
        "responses": _answers(answer, {**_ANYWHERE, **texts}, own),
    }


def _metrics() -> dict[str, Any]:
    found = _operation("metrics", "Prometheus' text format", Alive)
    found["responses"]["200"] = {
        "description": "Every metric, of all workers.",
        "content": {TEXT: {"schema": {"type": "string"}}},
    }
    return found
