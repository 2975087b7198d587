"""POST /whatif against brute force over /predict, its complaints, and the version before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app_server import client_of
from documented import fits
from model.bundle.bundle import Bundle
from model.page import files
from service.scoring.answers import ExplainAnswer, WhatIfAnswer
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from until import until

CONTEXT: dict[str, Any] = {"device": "ios", "hour": 21, "interests": ["cars", "golf"]}
CANDIDATES: list[dict[str, Any]] = [
    {"ad": "a7", "price": 3.5},
    {"ad": "a1", "price": 2.0},
    {"ad": "a2"},
]
ASKED: dict[str, Any] = {"context": CONTEXT, "candidates": CANDIDATES}


@pytest.fixture(scope="module")
def client(lasting: Callable[..., httpx.Client]) -> Any:
    return lasting()


def predicted(client: Any, context: Any, candidates: Any) -> Any:
    answer = client.post("/predict", json={"context": context, "candidates": candidates})
    return answer.json()["probabilities"]


def changed(schema: Any, name: Any, given: Any, row: Any) -> Any:
    """The request with the field `name` of one row holding something else."""
    if schema.fields[name].role == "context":
        return {**CONTEXT, name: given}, CANDIDATES
    candidates = [{**one, name: given} if i == row else one for i, one in enumerate(CANDIDATES)]
    return CONTEXT, candidates


@pytest.mark.parametrize("row", [0, 1, 2])
def test_what_if_is_what_predict_answers_to_every_changed_request(
    client: httpx.Client, tiny_bundle: Bundle, row: int
) -> None:
    margins = {}
    for name in tiny_bundle.schema.fields:
        found = client.post("/whatif", json={**ASKED, "row": row, "field": name}).json()
        fits(found, WhatIfAnswer)
        given = found.get("given", found["values"])
        for i, value in enumerate(found["values"]):
            answers = predicted(client, *changed(tiny_bundle.schema, name, given[i], row))
            mine, others = answers[row], answers[:row] + answers[row + 1 :]
            other = found["others"][i if len(found["others"]) > 1 else 0]
            assert found["answers"][i] == pytest.approx(mine, abs=1e-6)
            assert other == pytest.approx(max(others), abs=1e-6)
            assert found["ranks"][i] == 1 + sum(one > mine for one in others)
            if mine > max(others):
                margins[name, value] = mine - max(others)
    answer = client.post("/whatif", json={**ASKED, "row": row}).json()
    fits(answer, WhatIfAnswer)
    answers = predicted(client, CONTEXT, CANDIDATES)
    assert answer["first"] is (max(answers) == answers[row])
    if answer["first"]:
        assert answer["least"] is None
    else:
        least = answer["least"]
        assert margins[least["field"], least["value"]] == pytest.approx(min(margins.values()))


def test_what_if_of_whole_rows_changes_the_one_row_alone(client: httpx.Client) -> None:
    rows = [{**CONTEXT, **candidate} for candidate in CANDIDATES]
    found = client.post("/whatif", json={"instances": rows, "row": 0, "field": "device"}).json()
    assert len(found["others"]) == 1
    answers = [
        client.post("/predict", json={"instances": [{**rows[0], "device": value}, *rows[1:]]})
        for value in found["values"]
    ]
    expected = [answer.json()["probabilities"][0] for answer in answers]
    assert found["answers"] == pytest.approx(expected, abs=1e-6)


def test_what_if_of_a_context_leaves_a_candidate_its_own_value(client: httpx.Client) -> None:
    candidates = [CANDIDATES[0], {**CANDIDATES[1], "device": "web"}]
    asked = {"context": CONTEXT, "candidates": candidates}
    found = client.post("/whatif", json={**asked, "field": "device"}).json()
    for value, other in zip(found["values"], found["others"], strict=True):
        answers = predicted(client, {**CONTEXT, "device": value}, candidates)
        assert other == pytest.approx(answers[1], abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"row": 3}, "bad_row"),
        ({"row": -1}, "bad_row"),
        ({"field": "nobody"}, "unknown_field"),
        ({"field": 7}, "bad_field"),
        ({"top": 3}, "unknown_key"),
        ({"candidates": []}, "empty_candidates"),
    ],
)
def test_what_if_refuses_by_code(client: httpx.Client, changed: Any, code: str) -> None:
    answer = client.post("/whatif", json={**ASKED, **changed})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_what_if_is_over_when_its_deadline_is(client: httpx.Client) -> None:
    answer = client.post("/whatif", json={**ASKED, "timeout_ms": 0.001})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_passed")


def test_what_if_scores_no_more_rows_than_it_may(
    redis_url: str, tmp_path: Path, tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    many = [{"ad": f"a{i}"} for i in range(300)]
    with client_of(redis_url, tmp_path, max_whatif_rows=1000) as client:
        found = client.post("/whatif", json={"context": CONTEXT, "candidates": many}).json()
    assert found["left_out"] > 0


def test_explain_previous_is_by_the_version_that_was_live_before(
    served: Callable[..., httpx.Client],
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
) -> None:
    client = served()
    assert client.post("/explain/previous", json=ASKED).status_code == 503
    before = client.post("/explain", json=ASKED).json()
    new = make_bundle("fm")
    publish(new.directory, store, bundles, force=True)
    until(lambda: client.get("/model").json()["version"] == new.version)
    found = client.post("/explain/previous", json=ASKED).json()
    fits(found, ExplainAnswer)
    assert found == before
    assert client.get("/whatif").json()["previous"] == before["version"]


def test_the_page_begins_with_the_fields_and_an_example_that_scores(
    client: httpx.Client, tiny_bundle: Bundle
) -> None:
    begun = client.get("/whatif").json()
    assert [field["name"] for field in begun["fields"]] == list(tiny_bundle.schema.fields)
    assert client.post("/explain", json=begun["example"]).status_code == 200


def test_the_pages_allow_nothing_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", *(f"/page/{n}" for n in files.names() if not n.endswith(".html"))):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        again = client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
