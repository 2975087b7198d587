"""OpenRTB bid requests: from a log of them to a bundle, and their scores over HTTP."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from app_server import client_of
from bid_requests import bid_request, candidate_row, context_row, ts
from service.http.wire.connection import Connection
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.follower import DEFAULT_TIMES
from service.versions.publish import publish
from until import until


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def client(bundle: Any, redis_server: str, home: Path) -> Iterator[Any]:
    """The service that the bundle is published to."""
    with redis.Redis.from_url(redis_server) as raw:
        raw.flushall()
    store = VersionStore(redis_server, "ads")
    publish(bundle.directory, store, BundleStore(home / "bundles"))
    log: dict[str, Any] = {"prediction_log": home / "log", "prediction_log_share": 1.0}
    with client_of(redis_server, home, times=DEFAULT_TIMES, protocol=Connection, **log) as client:
        yield client
    store.close()


def predicted(client: httpx.Client, body: Any) -> Any:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["probabilities"]


def test_thousand_bid_requests_score_as_the_same_rows_do(client: httpx.Client) -> None:
    draw, different = random.Random(2), set()
    for number in range(1000):
        asked = bid_request(draw, number, imps=1 + number % 4)
        whole = {"bid_request": asked, "context": {"ts": ts(number)}}
        flat = {
            "context": context_row(asked, number),
            "candidates": [candidate_row(imp) for imp in asked["imp"]],
        }
        found = predicted(client, whole)
        assert found == predicted(client, flat), asked
        different |= set(found)
    assert len(different) > 1000


def test_bid_request_is_given_in_three_ways(client: httpx.Client) -> None:
    asked = bid_request(random.Random(3), 1, imps=3)
    when = {"ts": ts(1)}
    expected = predicted(client, {"bid_request": asked, "context": when})
    ads = asked["imp"]
    assert len(set(expected)) > 1
    with_ads = {"bid_request": {**asked, "imp": []}, "context": when, "candidates": ads}
    assert predicted(client, with_ads) == expected
    assert predicted(client, {"context": {**asked, **when}, "candidates": ads}) == expected
    rows = [{**asked, **when, **imp} for imp in ads]
    assert predicted(client, {"instances": rows}) == pytest.approx(expected, abs=1e-6)


def test_prediction_log_has_what_paths_read_and_nothing_private(
    client: httpx.Client, home: Path
) -> None:
    asked = {**bid_request(random.Random(6), 1), "user": {"id": "u-secret", "data": []}}
    body = {"bid_request": asked, "context": {"ts": ts(1)}}
    client.post("/predict", json=body, headers={"x-request-id": "logged"})

    def lines() -> Any:
        texts = [path.read_text() for path in (home / "log").glob("predictions-*")]
        return [one for text in texts for one in text.splitlines() if '"logged"' in one]

    until(lines)
    (line,) = lines()
    assert "u-secret" not in line
    assert json.loads(line)["row"]["device.devicetype"] == asked["device"]["devicetype"]


def test_explanation_and_what_if_read_a_bid_request(client: httpx.Client) -> None:
    asked = bid_request(random.Random(4), 1, imps=2)
    body = {"bid_request": asked, "context": {"ts": ts(1)}}
    found = client.post("/explain", json=body).json()["explanations"][1]
    shown = {term["field"]: term["value"] for term in found["linear"]}
    assert shown["devicetype"] == str(asked["device"]["devicetype"])
    assert shown["tagid"] == asked["imp"][1]["tagid"]
    changed = client.post("/whatif", json={**body, "row": 1, "field": "devicetype"}).json()
    assert changed["answer"] == pytest.approx(found["probability"], abs=1e-6)
    place = changed["values"].index("5")
    asked["device"]["devicetype"] = 5
    expected = predicted(client, body)[1]
    assert changed["answers"][place] == pytest.approx(expected, abs=1e-6)


ASKED = bid_request(random.Random(5), 1, imps=2) | {
    "site": {"domain": "sport.example", "cat": ["IAB1"]}
}


@pytest.mark.parametrize(
    ("change", "same_as"),
    [
        ({"device": None}, {"device": {}}),
        ({"device": {"devicetype": None}}, {"device": {}}),
        ({"device": {"devicetype": "4"}}, {"device": {"devicetype": 4}}),
        ({"device": {"devicetype": 4.0}}, {"device": {"devicetype": 4}}),
        ({"device": {"devicetype": 99}}, {"device": {"devicetype": "never seen"}}),
        ({"user": {"data": []}}, {"user": {}}),
        ({"user": {"data": [None, {}, {"segment": None}]}}, {"user": {}}),
        (
            {"user": {"data": [{"segment": [{"id": f"s{n}"} for n in range(6)]}]}},
            {"user": {"data": [{"segment": [{"id": f"s{n}"} for n in range(4)]}]}},
        ),
        ({"site.domain": "news.example"}, {"site": {**ASKED["site"], "domain": "news.example"}}),
        ({"ext": {"anything": [1, {"a": None}]}, "badv": ["x"]}, {}),
    ],
    ids=str,
)
def test_odd_bid_request_scores_as_the_page_says(
    client: httpx.Client, change: Any, same_as: Any
) -> None:
    base = {"ts": ts(1)}
    found = predicted(client, {"bid_request": {**ASKED, **change}, "context": base})
    assert found == predicted(client, {"bid_request": {**ASKED, **same_as}, "context": base})


def imps(change: Any) -> Any:
    return {"imp": [ASKED["imp"][0], {**ASKED["imp"][1], **change}]}


@pytest.mark.parametrize(
    ("change", "code", "row", "field"),
    [
        ({"device": "phone"}, "wrong_type", None, "devicetype"),
        ({"device": {"devicetype": {"id": 4}}}, "wrong_type", None, "devicetype"),
        ({"device": [{"devicetype": 4}, {"devicetype": 5}]}, "wrong_type", None, "devicetype"),
        ({"user": {"data": ["s1"]}}, "wrong_type", None, "segments"),
        (imps({"banner": 300}), "wrong_type", 1, "width"),
        (imps({"banner": {"w": [300, 728]}}), "wrong_type", 1, "width"),
        (imps({"bidfloor": "cheap"}), "wrong_type", 1, "bidfloor"),
        ({"imp": []}, "empty_candidates", None, None),
        ({"imp": None}, "not_a_list_of_objects", None, None),
        ({"imp": ["banner"]}, "not_a_list_of_objects", 0, None),
    ],
    ids=str,
)
def test_bid_request_that_cannot_be_read_is_refused_by_its_place(
    client: httpx.Client, change: Any, code: str, row: int | None, field: str | None
) -> None:
    answer = client.post("/predict", json={"bid_request": {**ASKED, **change}})
    problem = answer.json()
    assert answer.status_code == 422
    assert [problem["code"], problem.get("row"), problem.get("field")] == [code, row, field]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"bid_request": {"id": "1"}}, "no_candidates"),
        ({"bid_request": 7, "candidates": [{}]}, "context_not_an_object"),
        ({"bid_request": {}, "instances": [{"tagid": "top"}]}, "both_forms"),
    ],
    ids=str,
)
def test_body_with_a_bid_request_that_is_no_request_is_refused(
    client: httpx.Client, body: Any, code: str
) -> None:
    answer = client.post("/predict", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_candidate_that_cannot_be_read_fails_alone_where_asked_for(client: httpx.Client) -> None:
    body = {"bid_request": {**ASKED, **imps({"banner": "wide"})}, "strict": False}
    answer = client.post("/predict", json=body).json()
    assert answer["probabilities"][0] is not None
    assert answer["probabilities"][1] is None
    assert [(one["row"], one["field"]) for one in answer["errors"]] == [(1, "width")]
    detail = "field 'width': expected an object on the path banner.w, got a string"
    assert answer["errors"][0]["detail"] == detail
