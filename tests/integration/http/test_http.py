"""The HTTP contract on a real bundle and a real Redis: both forms, readiness, each net and task."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app_server import client_of
from bundle_parts import probabilities_of
from documented import fits
from model.bundle.bundle import Bundle
from service.scoring.answers import ExplainAnswer, PredictAnswer
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from tiny_requests import CANDIDATES, CONTEXT, ROWS
from training.config import NETS


def test_instances_get_the_probabilities_of_the_bundle(
    client: httpx.Client, tiny_bundle: Bundle
) -> None:
    expected = probabilities_of(tiny_bundle, ROWS)
    answer = client.post("/predict", json={"instances": ROWS})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model": "ads",
        "version": tiny_bundle.version,
        "degraded": False,
        "probabilities": expected.tolist(),
    }


def test_a_context_counts_for_each_candidate_and_a_candidate_s_value_wins(
    client: httpx.Client,
) -> None:
    merged = [{**CONTEXT, **candidate} for candidate in CANDIDATES]
    split = client.post("/predict", json={"context": CONTEXT, "candidates": CANDIDATES})
    whole = client.post("/predict", json={"instances": merged})
    assert split.json() == whole.json()
    assert len(set(split.json()["probabilities"])) == 3


def test_golden_rows_come_back_over_http(client: httpx.Client, tiny_bundle: Bundle) -> None:
    for case in tiny_bundle.read_golden():
        found = client.post("/predict", json=case.request).json()["probabilities"]
        assert found == pytest.approx(case.probabilities, abs=1e-6)


def test_many_rows_come_back_in_the_order_asked(client: httpx.Client) -> None:
    rows = [{**ROWS[i % 3], "price": i / 10} for i in range(357)]
    together = client.post("/predict", json={"instances": rows}).json()["probabilities"]
    for at in (0, 99, 100, 101, 300, 356):
        alone = client.post("/predict", json={"instances": [rows[at]]}).json()["probabilities"]
        assert together[at] == pytest.approx(alone[0], abs=1e-6)


def test_the_model_answers_with_its_schema(client: httpx.Client, tiny_bundle: Bundle) -> None:
    described = client.get("/model").json()
    assert described["model"] == "ads"
    assert described["version"] == tiny_bundle.version
    assert described["net"] == "afm"
    assert described["metrics"] == tiny_bundle.manifest.metrics
    assert list(described["schema"]["fields"]) == list(tiny_bundle.schema.fields)
    price = described["schema"]["fields"]["price"]
    assert (price["kind"], price["role"]) == ("numeric", "candidate")


def test_a_live_version_is_ready_and_healthy(client: httpx.Client, tiny_bundle: Bundle) -> None:
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["version"] == tiny_bundle.version
    assert ready.json()["redis"] == "ok"


def test_service_without_a_version_is_healthy_and_answers_503_with_what_to_run(bare: Any) -> None:
    for method, path in (("POST", "/predict"), ("POST", "/explain"), ("GET", "/model")):
        answer = bare.request(method, path, json={"instances": ROWS} if method == "POST" else None)
        assert answer.status_code == 503, path
        assert answer.json()["code"] == "no_model"
        assert "afm-serve publish BUNDLE --model ads" in answer.json()["detail"]
    assert bare.get("/healthz").status_code == 200
    ready = bare.get("/readyz")
    assert (ready.status_code, ready.json()["code"]) == (503, "no_model")
    assert ready.headers["content-type"] == "application/problem+json"


def test_without_redis_readiness_says_so_and_shows_no_password(tmp_path: Path) -> None:
    with client_of("redis://me:secret@127.0.0.1:1/0", tmp_path) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "redis://me@127.0.0.1:1/0" in ready.json()["redis"]
        assert "secret" not in ready.text
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("task", ["regression", "ranking"])
@pytest.mark.parametrize("net", NETS)
def test_a_task_without_probabilities_is_served_by_its_scores(
    redis_url: str,
    tmp_path: Path,
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    net: Any,
    task: str,
) -> None:
    """onnxruntime = HTTP; that torch = onnxruntime the gate has seen when the bundle was made."""
    bundle = make_bundle(net, task=task)
    publish(bundle.directory, store, bundles)
    expected = bundle.read_scorer().predict(bundle.read_encoder().encode(ROWS)).logits.tolist()
    with client_of(redis_url, tmp_path) as client:
        assert client.get("/model").json()["task"] == task
        answer = client.post("/predict", json={"instances": ROWS}).json()
        explained = client.post("/explain", json={"instances": ROWS, "top": None}).json()
        for case in bundle.read_golden():
            found = client.post("/predict", json=case.request).json()["scores"]
            assert found == pytest.approx(case.scores, rel=1e-6, abs=1e-6)
    fits(answer, PredictAnswer)
    fits(explained, ExplainAnswer)
    assert list(answer) == ["model", "version", "degraded", "probabilities", "scores"]
    assert answer["probabilities"] is None
    assert answer["scores"] == pytest.approx(expected, abs=1e-5)
    assert len(set(answer["scores"])) == len(ROWS)
    for one, score in zip(explained["explanations"], answer["scores"], strict=True):
        assert (one["probability"], one["score"], one["logit"]) == (None, score, score)
        terms = [*one["linear"], *(one["pairs"] or [])]
        total = one["bias"] + sum(term["contribution"] for term in terms)
        if net != "nfm":
            assert total == pytest.approx(score, rel=1e-5, abs=1e-5)


def test_an_answer_of_probabilities_has_no_scores_beside_them(client: httpx.Client) -> None:
    answer = client.post("/predict", json={"instances": ROWS}).json()
    assert answer.keys() == {"model", "version", "probabilities", "degraded"}
    explained = client.post("/explain", json={"instances": ROWS}).json()["explanations"]
    assert all("score" not in one for one in explained)


@pytest.mark.parametrize("net", ["lr", "fwfm", "ffm", "nfm", "afm+"])
def test_every_net_is_published_served_and_explained_by_the_same_contract(
    redis_url: str,
    tmp_path: Path,
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    net: str,
) -> None:
    bundle = make_bundle(net)
    publish(bundle.directory, store, bundles)
    expected = probabilities_of(bundle, ROWS)
    with client_of(redis_url, tmp_path) as client:
        assert client.get("/model").json()["net"] == net
        answer = client.post("/predict", json={"instances": ROWS}).json()
        assert answer["probabilities"] == pytest.approx(expected.tolist(), abs=1e-6)
        explained = client.post("/explain", json={"instances": ROWS, "top": 3}).json()
    fits(explained, ExplainAnswer)
    for one, probability in zip(explained["explanations"], answer["probabilities"], strict=True):
        assert one["probability"] == probability
        assert (one["pairs"] is None) == ("reason" in one) == (net == "nfm")
        if net != "nfm":
            terms = [term["contribution"] for term in (*one["linear"], *one["pairs"], one["rest"])]
            assert one["bias"] + sum(terms) == pytest.approx(one["logit"], abs=1e-5)


def test_a_missing_field_scores_as_a_null_one(client: httpx.Client) -> None:
    absent = client.post("/predict", json={"instances": [{"ad": "a1"}]}).json()
    null = {"ad": "a1", "device": None, "hour": None, "interests": None, "price": None}
    assert client.post("/predict", json={"instances": [null]}).json() == absent


def test_strange_text_is_a_value_and_comes_back_whole(client: httpx.Client) -> None:
    for text in ("", "\x00", "😀", "a\nb", '"', "a\u2028b", "x" * 10_000):
        answer = client.post("/explain", json={"instances": [{"ad": text, "device": "ios"}]})
        assert answer.status_code == 200, text
        ads = [t for t in answer.json()["explanations"][0]["linear"] if t["field"] == "ad"]
        assert ads[0]["value"] == (text or None)


def test_other_nets_are_served_by_the_same_code(
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    redis_url: str,
    tmp_path: Path,
) -> None:
    bundle = make_bundle(net="fm", seed=2)
    publish(bundle.directory, store, bundles)
    with client_of(redis_url, tmp_path) as client:
        probabilities = client.post("/predict", json={"instances": ROWS}).json()["probabilities"]
        explained = client.post("/explain", json={"instances": ROWS}).json()["explanations"]
    assert [one["probability"] for one in explained] == probabilities
    assert all(pair["attention"] is None for one in explained for pair in one["pairs"])
    assert explained[0]["rest"]["attention"] is None
