"""The HTTP contract on a real bundle and a real Redis: both forms, explanations, each complaint."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import openapi_spec_validator
import pytest
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app_server import client_of
from bundle_parts import probabilities_of
from documented import fits
from model.bundle.bundle import Bundle
from service.http.endpoints.status_answers import Alive, ModelAnswer, NotReady, Problem, Ready
from service.scoring.answers import ExplainAnswer, PredictAnswer
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from training.config import NETS

ROWS: list[dict[str, Any]] = [
    {"device": "ios", "hour": 21, "interests": ["cars", "golf"], "ad": "a1", "price": 3.5},
    {"device": "web", "hour": None, "ad": "a7"},
    {"ad": "never seen", "price": 0, "interests": "food|news"},
]
CONTEXT: dict[str, Any] = {"device": "ios", "hour": 21}
CANDIDATES: list[dict[str, Any]] = [
    {"ad": "a1", "price": 3.5},
    {"ad": "a2"},
    {"ad": "a3", "device": "web"},
]


@pytest.fixture(scope="module")
def client(lasting: Callable[..., httpx.Client]) -> Any:
    return lasting(max_body_bytes=100_000, max_rows=1000)


@pytest.fixture
def fresh(lasting: Callable[..., httpx.Client]) -> Any:
    """One that has counted nothing yet."""
    return lasting()


@pytest.fixture
def bare(redis_url: str, tmp_path: Path) -> Iterator[Any]:
    with client_of(redis_url, tmp_path) as made:
        yield made


def counted(client: Any, name: Any, **labels: Any) -> Any:
    found = 0.0
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                found += sample.value
    return found


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


@pytest.mark.parametrize(
    "body",
    [{"instances": ROWS}, {"context": CONTEXT, "candidates": CANDIDATES}, {"instances": ROWS * 80}],
)
def test_explanations_add_up_to_the_probability_of_predict_to_the_bit(
    client: httpx.Client, body: Any
) -> None:
    probabilities = client.post("/predict", json=body).json()["probabilities"]
    for top in (None, 0, 3):
        answer = client.post("/explain", json={**body, "top": top}).json()
        assert [one["probability"] for one in answer["explanations"]] == probabilities
        for one in answer["explanations"]:
            terms = [term["contribution"] for term in (*one["linear"], *one["pairs"])]
            total = one["bias"] + sum(terms) + one["rest"]["contribution"]
            assert total == pytest.approx(one["logit"], abs=1e-5)
            attention = sum(pair["attention"] for pair in one["pairs"]) + one["rest"]["attention"]
            assert attention == pytest.approx(1, abs=1e-5)


def test_top_says_how_many_pairs_and_the_largest_come_first(client: httpx.Client) -> None:
    body = {"instances": ROWS[:1]}
    every = client.post("/explain", json={**body, "top": None}).json()["explanations"][0]
    two = client.post("/explain", json={**body, "top": 2}).json()["explanations"][0]
    assert two["pairs"] == every["pairs"][:2]
    assert two["rest"]["pairs"] == len(every["pairs"]) - 2
    sizes = [abs(pair["contribution"]) for pair in every["pairs"]]
    assert sizes == sorted(sizes, reverse=True)
    assert every["rest"] == {"pairs": 0, "attention": 0.0, "contribution": 0.0}


def test_an_explanation_names_values_as_text_and_the_unknown_ones(client: httpx.Client) -> None:
    (one,) = client.post(
        "/explain", json={"context": {"hour": 21}, "candidates": [{"ad": "never seen"}]}
    ).json()["explanations"]
    linear = {term["field"]: term for term in one["linear"]}
    assert (linear["hour"]["value"], linear["hour"]["known"]) == ("21", True)
    assert (linear["ad"]["value"], linear["ad"]["known"]) == ("never seen", False)


def test_the_model_and_its_schema_are_told(client: httpx.Client, tiny_bundle: Bundle) -> None:
    told = client.get("/model").json()
    assert told["model"] == "ads"
    assert told["version"] == tiny_bundle.version
    assert told["net"] == "afm"
    assert told["metrics"] == tiny_bundle.manifest.metrics
    assert list(told["schema"]["fields"]) == list(tiny_bundle.schema.fields)
    price = told["schema"]["fields"]["price"]
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


def test_unseen_values_and_extra_keys_are_scored_and_counted(fresh: Any) -> None:
    body = {"instances": [{"ad": "new", "device": "ios", "x": 1}, {"ad": "newer", "y": {}}]}
    assert fresh.post("/predict", json=body).status_code == 200
    assert counted(fresh, "afm_unknown_values_total", field="ad") == 2
    assert counted(fresh, "afm_unknown_values_total", field="device") == 0
    assert counted(fresh, "afm_ignored_keys_total") == 2


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


def test_a_deadline_that_passes_is_504(client: httpx.Client) -> None:
    rows = [ROWS[0]] * 1000
    late = client.post("/predict", json={"instances": rows, "timeout_ms": 0.001})
    assert (late.status_code, late.json()["code"]) == (504, "deadline_passed")
    assert client.post("/predict", json={"instances": rows, "timeout_ms": 60_000}).is_success


def test_requests_rows_and_stages_are_counted(fresh: Any) -> None:
    fresh.post("/predict", json={"instances": ROWS})
    fresh.post("/explain", json={"instances": ROWS[:2]})
    fresh.post("/predict", json={"instances": []})
    fresh.post("/anything/made-up", json={})
    assert counted(fresh, "afm_requests_total", route="/predict", status="200") == 1
    assert counted(fresh, "afm_requests_total", route="/predict", status="422") == 1
    assert counted(fresh, "afm_requests_total", route="unknown", status="404") == 1
    assert counted(fresh, "afm_rows_total", route="/predict") == 3
    assert counted(fresh, "afm_rows_total", route="/explain") == 2
    for stage in ("encode", "score", "write"):
        assert counted(fresh, "afm_stage_duration_seconds_count", stage=stage) == 2
    assert "made-up" not in fresh.get("/metrics").text


def test_metrics_of_the_list_are_the_metrics_there_are(fresh: Any) -> None:
    from service.observe import metrics

    fresh.post("/predict", json={"instances": [{"ad": "new", "x": 1}]})
    families = {f.name for f in text_string_to_metric_families(fresh.get("/metrics").text)}
    assert {name for name in families if name.startswith("afm_")} == set(metrics.METRICS)


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


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["ios", "a1", 2**63, -(2**63), 10**320, -0.0, 1e-320, "\x00", "NaN"])
)
values = scalars | st.lists(scalars, max_size=8) | st.dictionaries(st.text(), scalars, max_size=2)
rows = st.dictionaries(
    st.sampled_from(["device", "hour", "interests", "ad", "price"]) | st.text(), values, max_size=6
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "instances": st.lists(rows, max_size=4) | values,
        "context": rows | values,
        "candidates": st.lists(rows, max_size=4) | values,
        "timeout_ms": scalars,
        "top": scalars,
        "other": values,
    },
) | st.builds(lambda context, many: {"context": context, "candidates": many}, rows, st.lists(rows))


def json_has(body: Any) -> Any:
    try:
        json.dumps(body, allow_nan=False)
    except ValueError:
        return False
    return True


@hypothesis.settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(requests)
def test_whatever_is_asked_the_answer_is_a_score_or_says_what_is_wrong(
    client: httpx.Client, body: Any
) -> None:
    content = json.dumps(body).encode()  # NaN and Infinity too, which JSON does not have
    for path, key in (("/predict", "probabilities"), ("/explain", "explanations")):
        answer = client.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 413, 422, 504) or not json_has(body), answer.text
        if answer.status_code == 200:
            assert len(answer.json()[key]) == len(body.get("instances") or body["candidates"])
        else:
            assert {"status", "code", "detail"} <= answer.json().keys()


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
