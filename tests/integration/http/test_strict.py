"""`strict: false`: one row that cannot be scored costs one row, and the others nothing."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from documented import fits
from service.http.wire.connection import Connection
from service.scoring.answers import ExplainAnswer, PredictAnswer

CONTEXT = {"device": "ios", "hour": 21, "interests": ["cars"]}
PATHS = (("/predict", "probabilities"), ("/explain", "explanations"))

# what is wrong with a row, as JSON, and what is said of it
FAULTY = {
    "wrong_type": ('{"ad": "a1", "price": "high"}', "price"),
    "not_finite": ('{"ad": "a1", "price": NaN}', "price"),
    "not_unicode": ('{"ad": "\\ud800", "price": 1}', "ad"),
    "not_a_list_of_objects": ("[5]", None),
    "text_too_long": ('{"ad": "a1", "x": "%s"}' % ("x" * 20_000), "x"),
}


def good(number: Any) -> Any:
    return {"ad": f"a{number % 12}", "price": number / 4}


def ask(client: Any, path: Any, rows: Any, form: Any, **more: Any) -> Any:
    """Rows given as JSON texts, in either form."""
    listed = ", ".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    if form == "instances":
        text = f'"instances": [{listed}]'
    else:
        text = f'"context": {json.dumps(CONTEXT)}, "candidates": [{listed}]'
    options = "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in more.items())
    headers = {"content-type": "application/json"}
    return client.post(path, content=f"{{{text}{options}}}", headers=headers)


@pytest.fixture(scope="module")
def client(lasting: Callable[..., httpx.Client]) -> Any:
    return lasting(protocol=Connection)


@pytest.mark.parametrize("form", ["instances", "candidates"])
@pytest.mark.parametrize("code", FAULTY)
def test_a_poisoned_row_costs_that_row_and_leaves_the_others_to_the_bit(
    client: httpx.Client, form: str, code: Any
) -> None:
    text, field = FAULTY[code]
    for count, places in ((3, [1]), (130, [0, 64, 99, 100, 131, 133])):
        clean = [good(number) for number in range(count)]
        rows = list(clean)
        for place in places:
            rows.insert(place, text)
        for path, key in PATHS:
            expected = ask(client, path, clean, form).json()[key]
            answer = ask(client, path, rows, form, strict=False)
            assert answer.status_code == 200
            found = answer.json()
            assert [place for place, one in enumerate(found[key]) if one is None] == places
            assert [one for one in found[key] if one is not None] == expected
            said = [(error["row"], error["field"], error["code"]) for error in found["errors"]]
            assert said == [(place, field, code) for place in places]
            model: Any = {"/predict": PredictAnswer, "/explain": ExplainAnswer}[path]
            fits(found, model)


def test_ads_that_are_cached_and_several_faults_at_once(client: httpx.Client) -> None:
    rows = [good(number) for number in range(40)]
    expected = ask(client, "/predict", rows, "candidates").json()["probabilities"]
    for number, (text, _) in enumerate(FAULTY.values()):
        rows.insert(10 * number, text)
    found = ask(client, "/predict", rows, "candidates", strict=False).json()
    assert [one for one in found["probabilities"] if one is not None] == expected
    assert [error["row"] for error in found["errors"]] == [0, 10, 20, 30, 40]
    assert {error["code"] for error in found["errors"]} == FAULTY.keys()


@pytest.mark.parametrize("form", ["instances", "candidates"])
def test_rows_that_are_all_faulty_are_all_null(client: httpx.Client, form: str) -> None:
    for text, _ in FAULTY.values():
        for path, key in PATHS:
            answer = ask(client, path, [text, text], form, strict=False)
            assert answer.status_code == 200
            assert answer.json()[key] == [None, None]
            assert [error["row"] for error in answer.json()["errors"]] == [0, 1]


def test_an_instance_without_a_known_field_is_named(client: httpx.Client) -> None:
    body = {"instances": [good(1), {}, {"strange": 1}], "strict": False}
    found = client.post("/predict", json=body).json()
    assert [error["code"] for error in found["errors"]] == ["no_known_field"] * 2
    assert found["probabilities"][1:] == [None, None]


def test_a_clean_request_has_the_bits_of_a_strict_one_and_an_empty_list(
    client: httpx.Client,
) -> None:
    rows = [good(number) for number in range(230)]
    for form in ("instances", "candidates"):
        strict = ask(client, "/predict", rows, form).json()
        lax = ask(client, "/predict", rows, form, strict=False).json()
        assert "errors" not in strict
        assert lax == {**strict, "errors": []}


@pytest.mark.parametrize("form", ["instances", "candidates"])
def test_a_strict_request_fails_with_its_first_faulty_row(client: httpx.Client, form: str) -> None:
    for code, (text, field) in FAULTY.items():
        for options in ({}, {"strict": True}):
            answer = ask(client, "/predict", [good(1), text, text], form, **options)
            problem = answer.json()
            assert answer.status_code == 422
            assert (problem["code"], problem["row"], problem.get("field")) == (code, 1, field)


def test_what_is_wrong_with_the_request_itself_still_fails_it(client: httpx.Client) -> None:
    faults = {
        "bad_strict": {"instances": [good(1)], "strict": "no"},
        "wrong_type": {"context": {"device": []}, "candidates": [good(1)], "strict": False},
        "empty_instances": {"instances": [], "strict": False},
    }
    for code, body in faults.items():
        answer = client.post("/predict", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    broken = ask(client, "/predict", ['{"ad": '], "candidates", strict=False)
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_json")


def test_null_rows_are_counted_by_their_code(served: Callable[..., httpx.Client]) -> None:
    client = served()
    text, _ = FAULTY["not_finite"]
    ask(client, "/predict", [text, good(1), text], "candidates", strict=False)
    samples = [
        sample
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    ]
    counted = [one for one in samples if one.name == "afm_row_errors_total" and one.value]
    assert [(one.labels, one.value) for one in counted] == [({"code": "not_finite"}, 2)]
    (rows,) = [
        one
        for one in samples
        if one.name == "afm_rows_total" and one.labels == {"route": "/predict"}
    ]
    assert rows.value == 1
