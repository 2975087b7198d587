"""Requests that are refused: each complaint with its status, code, row and field."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tiny_requests import CANDIDATES, CONTEXT, ROWS


@pytest.mark.parametrize(
    ("body", "code", "row", "field"),
    [
        ({"instances": []}, "empty_instances", None, None),
        ({"context": CONTEXT, "candidates": []}, "empty_candidates", None, None),
        ({"instances": ROWS, "context": CONTEXT, "candidates": []}, "both_forms", None, None),
        ({}, "no_form", None, None),
        ({"instances": [ROWS[0], {}]}, "no_known_field", 1, None),
        ({"instances": [ROWS[0], {"x": 1}]}, "no_known_field", 1, None),
        ({"context": {}, "candidates": [{"ad": "a"}, {"x": 1}]}, "no_known_field", 1, None),
        ({"instances": [ROWS[0], 5]}, "not_a_list_of_objects", 1, None),
        ({"instances": [ROWS[0], {"price": "3.5 EUR"}]}, "wrong_type", 1, "price"),
        ({"instances": [ROWS[0], {"price": True}]}, "wrong_type", 1, "price"),
        ({"instances": [ROWS[0], {"price": [1]}]}, "wrong_type", 1, "price"),
        ({"instances": [{"ad": {"id": 1}}]}, "wrong_type", 0, "ad"),
        ({"instances": [{"ad": ["a1"]}]}, "wrong_type", 0, "ad"),
        ({"instances": [{"interests": [["cars"]]}]}, "wrong_type", 0, "interests"),
        ({"instances": [{"interests": {"a": 1}}]}, "wrong_type", 0, "interests"),
        ({"context": {"device": []}, "candidates": CANDIDATES[:1]}, "wrong_type", None, "device"),
        ({"instances": ROWS, "extra": 1}, "unknown_key", None, None),
        ({"instances": [{"price": 10**400}]}, "not_finite", 0, "price"),
    ],
)
def test_invalid_input_is_422_with_its_code_row_and_field(
    client: httpx.Client, body: Any, code: str, row: int | None, field: str | None
) -> None:
    for path in ("/predict", "/explain"):
        answer = client.post(path, json=body)
        problem = answer.json()
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert (problem["code"], problem.get("row"), problem.get("field")) == (code, row, field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_422_with_row_and_field(
    client: httpx.Client, number: str
) -> None:
    for field in ("price", "ad", "interests"):
        body = f'{{"instances": [{{"ad": "a1"}}, {{"{field}": {number}}}]}}'
        answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
        problem = answer.json()
        assert answer.status_code == 422
        assert (problem["code"], problem["row"], problem["field"]) == ("not_finite", 1, field)


def test_the_row_of_a_fault_counts_from_the_start_of_a_large_request(client: httpx.Client) -> None:
    rows = [{"ad": "a1"}] * 250 + [{"price": "x"}]
    assert client.post("/predict", json={"instances": rows}).json()["row"] == 250
    context = {"context": {"device": []}, "candidates": [{"ad": "a"}] * 150}
    assert "row" not in client.post("/predict", json=context).json()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"[" * 100_000, b'{"instances": [{"a": "\xff"}]}']
)
def test_broken_json_is_400(client: httpx.Client, body: Any) -> None:
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "json", ""])
def test_another_content_type_is_415(client: httpx.Client, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = client.post("/predict", content=b'{"instances": []}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.ads+json"]
)
def test_json_may_be_said_in_several_ways(client: httpx.Client, kind: str) -> None:
    body = json.dumps({"instances": ROWS}).encode()
    assert client.post("/predict", content=body, headers={"content-type": kind}).is_success


def test_a_wrong_method_is_405_and_an_unknown_path_404(client: httpx.Client) -> None:
    for method, path in (("GET", "/predict"), ("PUT", "/explain"), ("POST", "/model")):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), path
    for path in ("/nowhere", "/predict/", "/v1/predict"):
        answer = client.post(path, follow_redirects=False)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_path"), path


def test_a_body_over_the_limit_is_413_announced_or_chunked(client: httpx.Client) -> None:
    body = json.dumps({"instances": [{"ad": "a" * 100_000}]}).encode()

    def chunks() -> Iterator[Any]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    for content in (body, chunks()):
        answer = client.post(
            "/predict", content=content, headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_chunked_body_within_the_limit_is_scored(client: httpx.Client) -> None:
    body = json.dumps({"instances": ROWS}).encode()
    answer = client.post(
        "/predict", content=iter([body[:7], body[7:]]), headers={"content-type": "application/json"}
    )
    assert len(answer.json()["probabilities"]) == 3


def test_more_rows_than_the_limit_are_413(client: httpx.Client) -> None:
    answer = client.post("/predict", json={"instances": [{"ad": "a"}] * 1001})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_rows")
    assert client.post("/predict", json={"instances": [{"ad": "a"}] * 1000}).is_success


def test_a_deadline_that_passes_is_504(client: httpx.Client) -> None:
    rows = [ROWS[0]] * 1000
    late = client.post("/predict", json={"instances": rows, "timeout_ms": 0.001})
    assert (late.status_code, late.json()["code"]) == (504, "deadline_passed")
    assert client.post("/predict", json={"instances": rows, "timeout_ms": 60_000}).is_success
