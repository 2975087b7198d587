"""Strangers: API keys and their rights over HTTP, no way in for a model, and nothing that leaks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from app_server import client_of
from commands import Commands
from intruders import BODY, CLOSED, NEEDED, PASSWORD, RIGHTS, ask, look_for_leaks
from model.bundle.bundle import Bundle
from own_redis import own_redis
from service.http.access.api_keys import make_key
from service.http.app import create_app
from service.settings import Settings
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from until import until

SERVICE = Path(__file__).parents[3] / "service"


@pytest.fixture
def keys(tmp_path: Path) -> Any:
    """The file of keys, and a key for each right."""
    path = tmp_path / "keys"
    return path, {right: make_key(path, f"the-{right}", [right]) for right in RIGHTS}


@pytest.fixture
def guarded(
    keys: Any,
    redis_url: str,
    tmp_path: Path,
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
) -> Iterator[Any]:
    publish(tiny_bundle.directory, store, bundles)
    with client_of(redis_url, tmp_path, api_keys=keys[0]) as client:
        yield client, keys[1]


def test_each_right_opens_its_own_paths_and_no_other(guarded: Any) -> None:
    client, keys = guarded
    for method, path in CLOSED:
        needed = NEEDED.get((method, path), "admin")
        for right, key in keys.items():
            status = ask(client, method, path, key).status_code
            if right == needed:
                assert status not in (401, 403), (method, path, right)
            else:
                assert status == 403, (method, path, right)


def test_without_a_key_every_path_but_the_two_of_health_is_closed(guarded: Any) -> None:
    client, _ = guarded
    for method, path in CLOSED:
        for key in (None, "?", "afm_guessed", "x" * 5000):
            answer = ask(client, method, path, key)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            of_v2 = path == "/v2" or path.startswith("/v2/")
            kind = "application/json" if of_v2 else "application/problem+json"
            assert answer.headers["content-type"] == kind
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_a_key_comes_as_a_bearer_or_in_a_header_of_its_own(guarded: Any) -> None:
    client, keys = guarded
    key = keys["predict"]
    for headers, status in (
        ({"x-api-key": key}, 200),
        ({"authorization": f"bearer  {key}"}, 200),
        ({"authorization": "Basic dTpw", "x-api-key": key}, 200),
        ({"authorization": key}, 401),
        ({"authorization": f"Basic {key}"}, 401),
        ({"cookie": f"x-api-key={key}"}, 401),
    ):
        assert ask(client, "POST", "/predict", **headers).status_code == status, headers
    assert ask(client, "POST", f"/predict?x-api-key={key}").status_code == 401


def test_a_refusal_says_which_right_is_missing(guarded: Any) -> None:
    client, keys = guarded
    answer = ask(client, "POST", "/explain", keys["predict"])
    assert (answer.json()["code"], answer.status_code) == ("forbidden", 403)
    assert (
        answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="explain"'
    )


def test_strangers_hear_whether_it_is_ready_and_nothing_else(
    guarded: Any, keys: Any, tmp_path: Path
) -> None:
    client, made = guarded
    assert client.get("/readyz").json() == {"status": "ready"}
    assert ask(client, "GET", "/readyz", made["predict"]).json() == {"status": "ready"}
    assert {"version", "redis"} <= ask(client, "GET", "/readyz", made["admin"]).json().keys()
    with client_of("redis://u:secret@127.0.0.1:1/0", tmp_path / "new", api_keys=keys[0]) as lonely:
        answer = lonely.get("/readyz")
    assert answer.status_code == 503
    assert answer.json().keys() == {"type", "title", "status", "detail", "code"}
    assert answer.json()["detail"] == "no version is live"


def test_refused_callers_are_counted(guarded: Any) -> None:
    client, keys = guarded
    ask(client, "POST", "/predict")
    ask(client, "POST", "/predict", keys["admin"])
    text = ask(client, "GET", "/metrics", keys["admin"]).text
    for status in (401, 403):
        assert f'afm_requests_total{{route="/predict",status="{status}"}} 1.0' in text


def test_a_key_that_is_taken_out_of_the_file_or_put_in_is_followed_by_a_running_service(
    guarded: Any, keys: Any
) -> None:
    client, made = guarded
    path = keys[0]
    new = make_key(path, "new", ["predict"])
    until(lambda: ask(client, "POST", "/predict", new).status_code == 200)
    kept = [line for line in path.read_text().splitlines() if not line.startswith("the-predict")]
    path.write_text("\n".join(kept) + "\n")
    until(lambda: ask(client, "POST", "/predict", made["predict"]).status_code == 401)
    assert ask(client, "POST", "/predict", new).status_code == 200
    path.write_text("broken\n")
    until(lambda: "afm_api_keys_current 0.0" in ask(client, "GET", "/metrics", made["admin"]).text)
    assert ask(client, "POST", "/predict", new).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7"])  # noqa: S104  that it is refused
def test_service_without_keys_listens_on_this_machine_only(commands: Commands, host: str) -> None:
    done = commands.run("run", "--host", host, "--port", "0")
    assert done.returncode == 2
    assert "AFM_API_KEYS" in done.stderr
    assert "AFM_ALLOW_ANONYMOUS" in done.stderr
    assert done.stderr.count("\n") == 1


def test_service_listens_beyond_this_machine_with_keys_or_where_it_is_allowed(
    commands: Commands, tmp_path: Path
) -> None:
    make_key(tmp_path / "keys", "shop", ["predict"])
    given: list[dict[str, Any]] = [
        {"AFM_API_KEYS": str(tmp_path / "keys")},
        {"AFM_ALLOW_ANONYMOUS": "1"},
    ]
    for env in given:
        with commands.serving(AFM_HOST="0.0.0.0", **env) as served:  # noqa: S104  the test's point
            answer = httpx.post(served.url + "/predict", json=BODY)
            assert answer.status_code == (401 if "AFM_API_KEYS" in env else 503)


def test_the_command_prints_a_key_once_and_the_file_has_its_hash(
    commands: Commands, tmp_path: Path
) -> None:
    env: dict[str, Any] = {"AFM_API_KEYS": str(tmp_path / "keys")}
    done = commands.run("key", "shop", "--rights", "predict,explain", **env)
    assert done.returncode == 0, done.stderr
    key = done.stdout.strip()
    assert re.fullmatch(r"afm_[\w-]{43}", key)
    assert key not in (tmp_path / "keys").read_text() + done.stderr
    failed = commands.run("key", "shop", **env)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "already" in failed.stderr


def test_a_broken_file_of_keys_stops_the_service_before_it_starts(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("shop afm_plain-secret predict\n")
    done = commands.run("run", AFM_API_KEYS=str(tmp_path / "keys"))
    assert done.returncode == 2
    assert "line 1" in done.stderr
    assert "plain-secret" not in done.stderr


def test_no_route_takes_or_fetches_a_model(redis_url: str, tmp_path: Path) -> None:
    app: Any = create_app(Settings.load(home=tmp_path), redis_url)
    taking = {
        (route.path, method)
        for route in every(app)
        for method in route.methods - {"GET", "HEAD", "OPTIONS"}
    }
    scoring = {"/predict", "/explain", "/explain/previous", "/whatif"}
    infer = {f"/v2/models/{{model}}{version}/infer" for version in ("", "/versions/{version}")}
    assert taking == {(path, "POST") for path in scoring | infer}
    assert app.shortcuts.keys() == scoring
    documented = app.openapi()["paths"]
    assert documented.keys() <= {route.path for route in every(app)}
    for path, operations in documented.items():
        for method, operation in operations.items():
            named = [(one["in"], one["name"]) for one in operation.get("parameters", ())]
            # the names in a path are compared with those of the live version, and the headers are
            # numbers: none of them leads to a model, a file or a URL
            compared = [("path", name) for name in ("model", "version") if f"{{{name}}}" in path]
            header = [("header", "x-timeout-ms")] if path in scoring | infer else []
            length = [("header", "inference-header-content-length")] if path in infer else []
            profile = [("query", "profile")] if path == "/explain" else []  # true or false
            assert named == compared + header + length + profile, path
            assert ("requestBody" in operation) == ((path, method.upper()) in taking), path
            content = operation.get("requestBody", {}).get("content", {})
            assert content.keys() <= {"application/json"}, path
    with_names = {route.path for route in every(app) if "{" in route.path}
    assert all(path.startswith("/v2/models/{model}") for path in with_names)


def every(router: Any) -> Iterator[Any]:
    """The routes of a router and of those it includes; nothing else can be asked."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            assert isinstance(route, Route)  # a mount would have paths of its own
            yield route
        else:
            yield from every(inner)


def test_the_service_has_no_client_for_urls_and_reads_no_pickle() -> None:
    ways = {
        "urllib",
        "http",
        "httpx",
        "requests",
        "aiohttp",
        "fsspec",
        "ftplib",
        "pickle",
        "shelve",
    }
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names]
            for name in names:
                assert name.split(".")[0] not in ways or name == "http.HTTPStatus", path


def test_secrets_and_values_stand_in_no_log_metric_or_error(
    commands: Commands, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with own_redis(tmp_path / "redis", "--requirepass", PASSWORD) as (server, port):
        url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
        look_for_leaks(commands, tiny_bundle, tmp_path / "keys", url, server)
