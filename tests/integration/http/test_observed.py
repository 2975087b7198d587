"""What is noted of requests: timings in a header and in the answer, traces, the prediction log."""

import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app_server import client_of
from documented import fits
from model.bundle.bundle import Bundle
from service.scoring.answers import ExplainAnswer
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from tensors import DEVICE, INFER, as_json
from tiny import unlabelled_rows
from until import until

STAGES = ["decode", "wait", "encode", "score", "write"]
ROWS = unlabelled_rows(250, seed=5)
BODY = {"instances": ROWS}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def published(
    redis_url: str, tmp_path: Path, tiny_bundle: Bundle, store: VersionStore, bundles: BundleStore
) -> Any:
    publish(tiny_bundle.directory, store, bundles)
    return redis_url, tmp_path


@contextmanager
def collector() -> Iterator[Any]:
    """A real OTLP endpoint on loopback: its address, and the spans that came there."""
    trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    found = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"]))
            assert self.headers.get("content-encoding") is None
            request = trace_service.ExportTraceServiceRequest.FromString(sent)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    found.extend(scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", found
        server.shutdown()


def is_sampled(answer: Any) -> Any:
    """The lowest bit of a traceparent's flags."""
    return int(answer.headers["traceparent"][-2:], 16) & 1 == 1


def timings(answer: Any) -> Any:
    """What `server-timing` says, in milliseconds."""
    text = answer.headers["server-timing"]
    assert re.fullmatch(r"(\w+;dur=\d+\.\d{3})(, \w+;dur=\d+\.\d{3})*", text)
    return {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([\d.]+)", text)}


def test_nothing_is_noted_where_nobody_asks(published: Any) -> None:
    with client_of(*published) as client:
        for path in ("/predict", "/explain"):
            answer = client.post(path, json={"instances": ROWS[:2]})
            assert "server-timing" not in answer.headers
            assert "traceparent" not in answer.headers
            assert "profile" not in answer.json()
        assert not list(published[1].glob("**/predictions-*"))


def test_a_header_says_what_each_stage_took(published: Any) -> None:
    with client_of(*published, server_timing=True) as client:
        for path in ("/predict", "/explain"):
            found = timings(client.post(path, json=BODY))
            assert list(found) == [*STAGES, "total"]
            assert 0 < sum(found[stage] for stage in STAGES) <= found["total"]
        infer = client.post(INFER, json=as_json([DEVICE]))
        assert list(timings(infer)) == [*STAGES, "total"]
        refused = client.post(
            "/predict", content=b"{", headers={"content-type": "application/json"}
        )
        assert refused.status_code == 400
        assert list(timings(refused)) == ["total"]
        assert "server-timing" not in client.get("/healthz").headers
        text = client.get("/metrics").text
    for stage in STAGES:  # noted, and counted once
        assert f'afm_stage_duration_seconds_count{{stage="{stage}"}} 3.0' in text


def test_an_explanation_has_a_profile_where_its_query_asks_for_one(published: Any) -> None:
    with client_of(*published) as client:
        plain = client.post("/explain", json=BODY).json()
        answer = client.post("/explain?profile=true", json=BODY).json()
        fits(answer, ExplainAnswer)
        profile = answer.pop("profile")
        assert answer == plain
        assert list(profile) == [*STAGES, "total"]
        assert 0 < sum(profile[stage] for stage in STAGES) <= profile["total"]
        for query in ("profile=false", "profile=", "other=true", "profile"):
            assert client.post(f"/explain?{query}", json=BODY).json() == plain
        assert "profile" not in client.post("/predict?profile=true", json=BODY).json()


def test_requests_are_traced_stage_by_stage_behind_their_caller_s_span(published: Any) -> None:
    with collector() as (url, spans):
        with client_of(*published, traces=url, traces_share=0.0) as client:
            parent = f"00-{TRACE}-{PARENT}-01"
            answer = client.post("/predict", json=BODY, headers={"traceparent": parent})
            assert answer.status_code == 200
            client.post("/predict", json=BODY, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
            unsampled = client.post("/predict", json=BODY)
            assert not is_sampled(unsampled)
            client.get("/healthz")
        # the end of the service sent what was left
        (request,) = [span for span in spans if span.name == "POST /predict"]
        assert request.trace_id.hex() == TRACE
        assert request.parent_span_id.hex() == PARENT
        said = {one.key: one.value for one in request.attributes}
        assert said["http.response.status_code"].int_value == 200
        assert said["afm.rows"].int_value == len(ROWS)
        stages = [span for span in spans if span.parent_span_id == request.span_id]
        assert [span.name for span in stages] == STAGES
        at = request.start_time_unix_nano
        for span in stages:
            assert at == span.start_time_unix_nano <= span.end_time_unix_nano
            at = span.end_time_unix_nano
        assert at <= request.end_time_unix_nano
        assert len(spans) == 1 + len(STAGES)


def test_an_answer_names_the_trace_of_a_request_that_named_none(published: Any) -> None:
    with collector() as (url, spans):
        with client_of(*published, traces=url, traces_share=1.0) as client:
            answer = client.post(INFER, json=as_json([DEVICE]))
            refused = client.post("/explain", json={"instances": [{"price": "x"}]})
        for one, name in (
            (answer, f"POST {INFER.replace('ads', '{model}')}"),
            (refused, "POST /explain"),
        ):
            _, trace, span, _ = one.headers["traceparent"].split("-")
            assert is_sampled(one)
            (found,) = [one for one in spans if one.name == name]
            assert (found.trace_id.hex(), found.span_id.hex()) == (trace, span)


def test_a_collector_that_is_not_there_delays_no_answer(published: Any) -> None:
    with client_of(*published, traces="http://127.0.0.1:9/v1/traces", traces_share=1.0) as client:
        for _ in range(20):
            assert client.post("/predict", json={"instances": ROWS[:2]}).status_code == 200


def test_without_opentelemetry_traces_are_one_line_that_says_what_to_install(
    tmp_path: Path,
) -> None:
    script = (
        "import sys\n"
        "sys.modules['opentelemetry.sdk.trace'] = None\n"
        "from service.cli import main\n"
        "sys.exit(main(['run', '--port', '0']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"AFM_TRACES": "http://127.0.0.1:9/", "AFM_HOME": str(tmp_path), "PATH": "/usr/bin"},
    )
    assert done.returncode != 0
    assert "pip install 'ctr-afm[serve,traces]'" in done.stderr
    assert "Traceback" not in done.stderr


def logged(folder: Any) -> Any:
    """The lines of the prediction log."""
    files = sorted(folder.glob("predictions-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_sample_of_rows_and_their_scores_is_logged(published: Any) -> None:
    folder = published[1] / "log"
    ads: list[dict[str, Any]] = [{"ad": "a1", "price": 3.5}, {"ad": "a2", "price": "high"}]
    with client_of(*published, prediction_log=folder, prediction_log_share=1.0) as client:
        scores = client.post("/predict", json=BODY).json()
        spared = client.post(
            "/predict",
            json={"context": {"device": "ios"}, "candidates": ads, "strict": False},
        ).json()
        client.post("/explain", json=BODY)
        until(lambda: len(logged(folder)) == len(ROWS) + 2)
        found = logged(folder)
        text = client.get("/metrics").text
    assert 'afm_prediction_log_total{event="written"} 2.0' in text
    assert [line["score"] for line in found[:-2]] == scores["probabilities"]
    assert [line["row"] for line in found[:-2]] == ROWS
    assert [line["score"] for line in found[-2:]] == spared["probabilities"]
    assert spared["probabilities"][1] is None
    assert [line["row"] for line in found[-2:]] == [{"device": "ios", **ad} for ad in ads]
    assert {(line["model"], line["version"]) for line in found} == {("ads", scores["version"])}
    assert [line["place"] for line in found] == [*range(len(ROWS)), 0, 1]


def test_a_folder_that_cannot_be_written_costs_no_answer(published: Any) -> None:
    folder = published[1] / "log"
    with client_of(*published, prediction_log=folder, prediction_log_share=1.0) as client:
        folder.rmdir()
        folder.write_text("no folder")
        assert client.post("/predict", json={"instances": ROWS[:2]}).status_code == 200

        def dropped() -> Any:
            families = text_string_to_metric_families(client.get("/metrics").text)
            samples = [one for family in families for one in family.samples]
            return [
                one.value
                for one in samples
                if one.name == "afm_prediction_log_total" and one.labels["event"] == "dropped"
            ] == [1.0]

        until(dropped)
