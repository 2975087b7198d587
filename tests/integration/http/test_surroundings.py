"""What stands around the service: prefixes, pages of other origins, unix sockets, TLS."""

import json
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from certificates import certificate
from commands import Commands
from model.bundle.bundle import Bundle
from service.http.access.api_keys import make_key

BODY = {"instances": [{"device": "ios", "ad": "a1"}]}
GETS = ("/healthz", "/readyz", "/metrics", "/model", "/docs", "/openapi.json")


@pytest.mark.parametrize("path", [*GETS, "/unknown", "/predict"])
def test_head_is_answered_as_get_without_the_body(
    served: Callable[..., httpx.Client], path: Any
) -> None:
    client = served()
    asked, got = client.head(path), client.get(path)
    assert asked.status_code == got.status_code
    assert asked.content == b""
    assert asked.headers.get("allow") == got.headers.get("allow")
    if path != "/metrics":  # whose length changes
        assert asked.headers["content-length"] == got.headers["content-length"]
    assert client.get("/healthz").json() == {"status": "alive"}  # nothing is left on the connection


def test_a_prefix_that_the_proxy_leaves_is_taken_off(served: Callable[..., httpx.Client]) -> None:
    client = served(root_path="/ads/ctr")
    for prefix in ("/ads/ctr", ""):
        assert client.post(f"{prefix}/predict", json=BODY).status_code == 200
        assert client.get(f"{prefix}/readyz").status_code == 200
        assert client.get(f"{prefix}/docs/files/swagger-ui.css").status_code == 200
        assert client.head(f"{prefix}/healthz").status_code == 200
    for path in ("/ads/predict", "/ads/ctr", "/ads/ctrpredict", "/other/predict"):
        assert client.post(path, json=BODY).status_code == 404
    counted = client.get("/metrics").text
    assert "/ads" not in counted


def test_rights_hold_behind_a_prefix(served: Callable[..., httpx.Client], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key = {"x-api-key": make_key(keys, "shop", ["predict"])}
    client = served(root_path="/ctr", api_keys=keys)
    assert client.post("/ctr/predict", json=BODY).status_code == 401
    assert client.post("/ctr/predict", json=BODY, headers=key).status_code == 200
    assert client.post("/ctr/explain", json=BODY, headers=key).status_code == 403
    assert client.get("/ctr/metrics", headers=key).status_code == 403


def test_the_page_opens_without_a_key_and_scoring_from_it_needs_one(
    served: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    make_key(tmp_path / "keys", "shop", ["predict"])
    client = served(api_keys=tmp_path / "keys")
    page = client.get("/docs")
    assert page.status_code == 200
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"docs/files/{name}" in page.text
        assert client.get(f"/docs/files/{name}").status_code == 200
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "x-api-key"}
    assert client.post("/predict", json=BODY).status_code == 401
    assert client.get("/model").status_code == 401


def test_pages_of_the_origins_named_may_ask(
    served: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    make_key(tmp_path / "keys", "shop", ["predict"])
    client = served(
        cors_origins="https://one.example, https://two.example", api_keys=tmp_path / "keys"
    )
    for origin, allowed in (("https://two.example", True), ("https://three.example", False)):
        asked = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,authorization",
        }
        before = client.options("/predict", headers=asked)
        assert before.status_code == (200 if allowed else 400)
        got = client.post("/predict", json=BODY, headers={"origin": origin})
        assert got.status_code == 401  # of which the page sees why
        for answer in (before, got):
            named = answer.headers.get("access-control-allow-origin")
            assert named == (origin if allowed else None)


def test_answer_without_origins_has_no_header_of_them(served: Callable[..., httpx.Client]) -> None:
    client = served()
    got = client.post("/predict", json=BODY, headers={"origin": "https://one.example"})
    assert got.status_code == 200
    assert not [name for name in got.headers if name.startswith("access-control")]


def test_two_workers_answer_on_a_unix_socket(
    commands: Commands, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    commands.publish(tiny_bundle.directory)
    path = tmp_path / "afm.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with commands.serving(workers=2, host=f"unix:{path}") as served:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with served.client() as client:
            assert client.post("/predict", json=BODY).status_code == 200
        assert served.stop() == 0
    assert not path.exists()
    assert f'"unix:{path}"' in served.log.read_text()


def test_two_workers_speak_tls_and_nothing_else(
    commands: Commands, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    commands.publish(tiny_bundle.directory)
    made, key = map(str, certificate(tmp_path))
    trusted = ssl.create_default_context(cafile=made)
    env: dict[str, Any] = {"AFM_TLS_CERT": made, "AFM_TLS_KEY": key}
    with commands.serving(workers=2, tls=trusted, **env) as served:
        served.wait_until("/readyz", lambda answer: answer.status_code == 200)
        for _ in range(4):
            with served.client() as client:
                assert client.post("/predict", json=BODY).status_code == 200
                large = {"instances": BODY["instances"] * 3000}  # of several TLS records
                got = client.post(
                    "/predict",
                    content=json.dumps(large),
                    headers={"content-type": "application/json"},
                )
                assert len(got.json()["probabilities"]) == 3000
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{served.port}/healthz")
        assert served.stop() == 0
    assert "Traceback" not in served.log.read_text()


def test_wrong_files_of_tls_are_one_line_before_the_start(
    commands: Commands, tmp_path: Path
) -> None:
    done = commands.run("run", AFM_TLS_CERT=str(tmp_path / "none"), AFM_TLS_KEY=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"afm-serve: AFM_TLS_CERT: {tmp_path / 'none'} cannot be read")
    assert done.stderr.count("\n") == 1


def test_an_answer_says_how_long_its_connection_may_wait_unless_it_ends(
    served: Callable[..., httpx.Client],
) -> None:
    client = served()
    stays = client.post("/predict", json=BODY)
    assert stays.headers.get_list("connection") == ["keep-alive"]
    assert stays.headers.get_list("keep-alive") == ["timeout=5"]  # uvicorn's, in this fixture
    ends = client.post("/predict", json=BODY, headers={"connection": "close"})
    assert ends.headers.get_list("connection") == ["close"]
    assert "keep-alive" not in ends.headers


def test_the_idle_time_of_the_setting_is_what_answers_say(commands: Commands) -> None:
    with commands.serving(AFM_KEEP_ALIVE_SECONDS="600") as served, served.client() as client:
        assert client.get("/healthz").headers["keep-alive"] == "timeout=600"
