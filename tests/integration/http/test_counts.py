"""What /metrics counts of requests."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tiny_requests import ROWS


def counted(client: Any, name: Any, **labels: Any) -> Any:
    found = 0.0
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                found += sample.value
    return found


def test_unseen_values_and_extra_keys_are_scored_and_counted(fresh: Any) -> None:
    body = {"instances": [{"ad": "new", "device": "ios", "x": 1}, {"ad": "newer", "y": {}}]}
    assert fresh.post("/predict", json=body).status_code == 200
    assert counted(fresh, "afm_unknown_values_total", field="ad") == 2
    assert counted(fresh, "afm_unknown_values_total", field="device") == 0
    assert counted(fresh, "afm_ignored_keys_total") == 2


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
