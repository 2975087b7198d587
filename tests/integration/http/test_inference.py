"""The Open Inference Protocol over HTTP, in raw bytes: as /predict to the bit, and complaints."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app_server import client_of
from documented import fits
from model.bundle.bundle import Bundle
from service.http.inference.documented import (
    InferenceAnswer,
    InferenceError,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from tensors import DEVICE, INFER, LENGTH, as_bytes, as_json, columns_of, tensors
from tiny import unlabelled_rows

ROWS = unlabelled_rows(1000, seed=5)
COLUMNS = columns_of(ROWS)
DEADLINE = "deadline_passed"


@pytest.fixture(scope="module")
def client(lasting: Callable[..., httpx.Client]) -> Any:
    return lasting(max_body_bytes=1 << 20, max_rows=1000)


@pytest.fixture
def bare(redis_url: str, tmp_path: Path) -> Iterator[Any]:
    with client_of(redis_url, tmp_path) as made:
        yield made


def binary(client: Any, *request: Any, **more: Any) -> Any:
    body, headers = as_bytes(*request, **more)
    return client.post(INFER, content=body, headers=headers)


def test_a_thousand_rows_score_as_over_predict_to_the_bit_as_json_and_as_bytes(
    client: httpx.Client,
) -> None:
    expected = client.post("/predict", json={"instances": ROWS}).json()["probabilities"]
    by_json = tensors(client.post(INFER, json=as_json(COLUMNS)))
    by_bytes = tensors(binary(client, COLUMNS))
    assert list(by_json) == list(by_bytes) == ["probability"]
    assert by_json["probability"].tolist() == by_bytes["probability"].tolist() == expected


def test_logit_and_attention_are_those_of_explain(client: httpx.Client) -> None:
    some = columns_of(ROWS[:7])
    wanted = ["attention", "logit", "probability"]
    explained = client.post("/explain", json={"instances": ROWS[:7], "top": None}).json()
    for answer in (client.post(INFER, json=as_json(some, wanted)), binary(client, some, wanted)):
        found = tensors(answer)
        assert list(found) == wanted
        for i, one in enumerate(explained["explanations"]):
            assert found["probability"][i] == np.float32(one["probability"])
            assert found["logit"][i] == np.float32(one["logit"])
            mine = sorted(found["attention"][i][found["attention"][i] > 0].tolist())
            assert mine == sorted(pair["attention"] for pair in one["pairs"])


def test_the_slots_say_which_pair_an_attention_is_of(client: httpx.Client) -> None:
    described = client.get("/v2/models/ads").json()
    slots = json.loads(described["outputs"][-1]["parameters"]["slots"])
    named = [(a, b) for i, a in enumerate(slots) for b in slots[i + 1 :]]
    assert described["outputs"][-1]["shape"] == [-1, len(named)]
    row = {"device": "ios", "hour": 21, "ad": "a1", "interests": ["cars"], "price": 3.5}
    found = tensors(client.post(INFER, json=as_json(columns_of([row]), ["attention"])))
    (one,) = client.post("/explain", json={"instances": [row], "top": None}).json()["explanations"]
    listed = {tuple(pair["fields"]): pair["attention"] for pair in one["pairs"]}
    by_name: dict[Any, Any] = {}
    for pair, attention in zip(named, found["attention"][0].tolist(), strict=True):
        by_name[pair] = by_name.get(pair, 0.0) + attention
    for pair, attention in listed.items():
        assert by_name[pair] == pytest.approx(attention, abs=1e-7)


def test_a_float32_is_the_shortest_decimal_as_in_a_log(client: httpx.Client) -> None:
    prices = np.array([0.1, 2.7, 3.3], np.float32)
    rows = [{"device": "ios", "price": price} for price in (0.1, 2.7, 3.3)]
    expected = client.post("/predict", json={"instances": rows}).json()["probabilities"]
    device = {"name": "device", "datatype": "BYTES", "shape": [3], "data": ["ios"] * 3}
    price = {"name": "price", "datatype": "FP32", "shape": [3]}
    by_json = as_json([device, {**price, "data": prices.astype(float).tolist()}])
    head = [
        {**device, "data": ["ios"] * 3},
        {**price, "parameters": {"binary_data_size": prices.nbytes}},
    ]
    text = json.dumps({"inputs": head}).encode()
    raw = client.post(INFER, content=text + prices.tobytes(), headers={LENGTH: str(len(text))})
    for answer in (client.post(INFER, json=by_json), raw):
        assert tensors(answer)["probability"].tolist() == expected


def test_booleans_integers_and_missing_values_mean_what_they_mean_in_json(
    client: httpx.Client,
) -> None:
    rows = [{"device": True, "hour": 3, "price": None}, {"device": False, "hour": 21, "price": 2}]
    expected = client.post("/predict", json={"instances": rows}).json()["probabilities"]
    head: dict[Any, Any] = {"inputs": []}
    raws = b""
    for name, datatype, raw in (
        ("device", "BOOL", b"\x01\x00"),
        ("hour", "INT8", b"\x03\x15"),
        ("price", "FP32", np.array([np.nan, 2], np.float32).tobytes()),
    ):
        parameters = {"binary_data_size": len(raw)}
        one = {"name": name, "datatype": datatype, "shape": [2, 1], "parameters": parameters}
        head["inputs"].append(one)
        raws += raw
    text = json.dumps(head).encode()
    answer = client.post(INFER, content=text + raws, headers={LENGTH: str(len(text))})
    assert tensors(answer)["probability"].tolist() == expected


def test_health_and_metadata_are_what_the_document_says(
    client: httpx.Client, tiny_bundle: Bundle
) -> None:
    version = f"/v2/models/ads/versions/{tiny_bundle.version}"
    for path, struct in (
        ("/v2/health/live", ServerLive),
        ("/v2/health/ready", ServerReady),
        ("/v2", ServerMetadata),
        ("/v2/models/ads", ModelMetadata),
        (version, ModelMetadata),
        ("/v2/models/ads/ready", ModelReady),
        (f"{version}/ready", ModelReady),
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        fits(answer.json(), struct)
    described = client.get(version).json()
    assert {one["name"]: (one["datatype"], one["shape"]) for one in described["inputs"]} == {
        "device": ("BYTES", [-1]),
        "hour": ("BYTES", [-1]),
        "interests": ("BYTES", [-1, -1]),
        "ad": ("BYTES", [-1]),
        "price": ("FP64", [-1]),
    }
    answer = client.post(f"{version}/infer", json=as_json([DEVICE], id="7"))
    fits(answer.json(), InferenceAnswer)
    assert answer.json()["id"] == "7"
    assert answer.json()["model_version"] == tiny_bundle.version


def test_without_a_version_it_lives_and_is_not_ready(bare: Any) -> None:
    assert bare.get("/v2/health/live").json() == {"live": True}
    ready = bare.get("/v2/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    for answer in (bare.get("/v2/models/ads/ready"), bare.post(INFER, json=as_json([DEVICE]))):
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model")
        fits(answer.json(), InferenceError)


def test_a_complaint_has_a_status_and_the_key_error(client: httpx.Client) -> None:
    for request, status, code in (
        (b"{", 400, "malformed_json"),
        (json.dumps(as_json([{**DEVICE, "shape": [3]}])).encode(), 422, "bad_tensor"),
        (json.dumps(as_json([{**DEVICE, "name": "price"}])).encode(), 422, "wrong_type"),
        (json.dumps(as_json([{**DEVICE, "name": "nobody"}])).encode(), 422, "no_known_field"),
        (json.dumps(as_json([DEVICE], ["price"])).encode(), 422, "bad_output"),
        (json.dumps(as_json([DEVICE], parameters={"timeout": 0.001})).encode(), 504, DEADLINE),
        (json.dumps(as_json(columns_of([*ROWS, ROWS[0]]))).encode(), 413, "too_many_rows"),
    ):
        answer = client.post(INFER, content=request)
        found = answer.json()
        assert (answer.status_code, found["code"]) == (status, code), found
        assert answer.headers["content-type"] == "application/json"
        assert found["error"] == found["detail"]
        fits(found, InferenceError)


def test_other_models_and_paths_are_said_not_to_be_there(client: httpx.Client) -> None:
    for method, path, status, code in (
        ("GET", "/v2/models/others", 404, "unknown_model"),
        ("GET", "/v2/models/ads/versions/1/ready", 404, "unknown_model"),
        ("POST", "/v2/models/others/infer", 404, "unknown_model"),
        ("GET", "/v2/models/ads/config", 404, "unknown_path"),
        ("GET", INFER, 405, "method_not_allowed"),
        ("POST", "/v2/health/live", 405, "method_not_allowed"),
    ):
        sent = as_json([DEVICE]) if method == "POST" else None
        answer = client.request(method, path, json=sent)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["error"]


def test_compressed_bodies_and_other_media_types_are_refused(client: httpx.Client) -> None:
    body = gzip.compress(json.dumps(as_json([DEVICE])).encode())
    packed = client.post(INFER, content=body, headers={"content-encoding": "gzip"})
    assert (packed.status_code, packed.json()["code"]) == (415, "unsupported_content_encoding")
    body = json.dumps(as_json([DEVICE])).encode()
    for kind, status in (
        ("text/plain", 415),
        ("application/json; charset=utf-8", 200),
        ("application/octet-stream", 200),
        ("application/x-www-form-urlencoded", 200),  # curl's
    ):
        answer = client.post(INFER, content=body, headers={"content-type": kind})
        assert answer.status_code == status, kind


def test_a_deadline_in_the_header_counts_too(client: httpx.Client) -> None:
    answer = client.post(INFER, json=as_json(COLUMNS), headers={"x-timeout-ms": "0.001"})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_passed")


def test_answers_and_rows_are_counted_under_one_path(served: Callable[..., httpx.Client]) -> None:
    client = served()
    client.post(INFER, json=as_json([DEVICE]))
    client.post(INFER, content=b"{")
    client.get("/v2/models/nobody/versions/3")
    text = client.get("/metrics").text
    label = 'route="/v2/models/{model}/infer"'
    assert f'afm_requests_total{{{label},status="200"}} 1.0' in text
    assert f'afm_requests_total{{{label},status="400"}} 1.0' in text
    assert f"afm_rows_total{{{label}}} 2.0" in text
    assert 'afm_requests_total{route="/v2/models/{model}",status="404"} 1.0' in text
    assert "nobody" not in text


def test_a_task_without_probabilities_has_scores(
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    redis_url: str,
    tmp_path: Path,
) -> None:
    publish(make_bundle("fm", task="regression").directory, store, bundles)
    with client_of(redis_url, tmp_path) as client:
        scores = client.post("/predict", json={"instances": ROWS[:5]}).json()["scores"]
        answer = client.post(INFER, json=as_json(columns_of(ROWS[:5])))
        assert tensors(answer)["score"].tolist() == scores
        refused = client.post(INFER, json=as_json([DEVICE], ["attention"]))
        assert refused.json()["code"] == "bad_output"
