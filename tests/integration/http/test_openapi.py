"""/docs and /openapi.json: every path, its schemas, and examples that are answered as they say."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import openapi_spec_validator

from documented import fits
from service.http.endpoints.status_answers import Alive, ModelAnswer, NotReady, Problem, Ready
from service.scoring.answers import ExplainAnswer, PredictAnswer


def test_the_page_of_the_documentation_needs_nothing_but_the_service(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page.text)
    assert len(links) == 4  # script, style, icon, and the description that the script shows
    for link in links:
        assert "//" not in link
        assert client.get(f"/{link}").status_code == 200, link
    for strange in ("nothing.js", "../core.py", "%2e%2e/core.py"):
        found = client.get(f"/docs/files/{strange}")
        assert found.status_code == 404
        assert found.headers["content-type"] == "application/problem+json"


def test_the_documentation_lists_every_path_and_its_schemas_are_there(client: httpx.Client) -> None:
    assert client.get("/docs").status_code == 200
    openapi = client.get("/openapi.json").json()
    assert {"/predict", "/explain", "/healthz", "/readyz", "/metrics", "/model"} <= set(
        openapi["paths"]
    )
    text = json.dumps(openapi)
    for name in set(text.split("#/components/schemas/")[1:]):
        assert name.partition('"')[0] in openapi["components"]["schemas"]


def test_openapi_document_is_valid_and_says_what_generators_need(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    openapi_spec_validator.validate(document)
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    status = {"healthz", "readyz", "model", "metrics"}
    scoring = {"predict", "explain", "explain_previous", "what_if"}
    inference = {"v2_live", "v2_ready", "v2_server"} | {
        f"v2_{name}{version}"
        for name in ("model", "model_ready", "infer")
        for version in ("", "_version")
    }
    assert set(operations) == scoring | status | inference
    for operation in operations.values():
        assert operation["tags"]
        assert {"200", "405", "500"} <= operation["responses"].keys()
    assert "503" in operations["readyz"]["responses"]
    assert "text/plain" in operations["metrics"]["responses"]["200"]["content"]
    assert "allow" in operations["predict"]["responses"]["405"]["headers"]
    assert "retry-after" in operations["predict"]["responses"]["429"]["headers"]
    assert document["servers"] == [{"url": "."}]


def parts(schema: Any) -> Iterator[Any]:
    """Every schema within a schema."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from parts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from parts(part)


def test_openapi_document_has_no_default_and_a_format_for_each_number(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    found = list(parts(schemas))
    assert [one for one in found if "default" in one] == []
    numbers = [one for one in found if one.get("type") in ("number", "integer")]
    assert {one["format"] for one in numbers} == {"double", "int64"}


def test_openapi_rows_take_any_value(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("InstancesRequest", "ExplainInstancesRequest"):
        row = schemas[name]["properties"]["instances"]["items"]
        assert row["type"] == "object"
        assert row.get("additionalProperties", {}) in ({}, True)
    context = schemas["CandidatesRequest"]["properties"]["context"]
    assert context.get("additionalProperties", {}) in ({}, True)


def test_status_answers_are_what_the_document_says(client: httpx.Client) -> None:
    fits(client.get("/healthz").json(), Alive)
    fits(client.get("/readyz").json(), Ready)
    fits(client.get("/model").json(), ModelAnswer)
    fits(client.get("/nothing").json(), Problem)
    fits(client.post("/predict", json={"instances": [{"price": "x", "ad": "a"}]}).json(), Problem)


def test_status_answers_without_a_version_are_what_the_document_says(bare: Any) -> None:
    fits(bare.get("/readyz").json(), NotReady)
    fits(bare.get("/model").json(), Problem)


def test_the_documented_examples_are_answered_and_match_their_schema(client: httpx.Client) -> None:
    documented = client.get("/openapi.json").json()["paths"]
    for path, model in (
        ("/predict", PredictAnswer),
        ("/explain", ExplainAnswer),
    ):
        content = documented[path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            answer = client.post(path, json=example["value"])
            assert answer.status_code == 200, answer.text
            fits(answer.json(), model)
